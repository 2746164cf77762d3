// The engine as the server runs it, in its worker thread (from dist/), measured from the main thread.

import { Worker } from "node:worker_threads";
import { greedy } from "../../src/core/sampling.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import { assignPositions } from "../../src/vision/positions.ts";
import type { WorkerData } from "../../src/worker-data.ts";

export type Speed = {
  readonly prefill: { readonly promptTokens: number; readonly tokensPerSecond: number };
  readonly decode: readonly { readonly streamCount: number; readonly tokensPerSecond: number }[];
};

const prefillTokens = 512;
const decodePromptTokens = 32;
const decodeTokens = 128;

export class EngineBench {
  readonly #client: EngineClient;
  readonly #vocabSize: number;
  #promptCount = 0;

  private constructor(client: EngineClient, vocabSize: number) {
    this.#client = client;
    this.#vocabSize = vocabSize;
  }

  /** `options`: what differs from a small server on the CPU. */
  static async start(folder: string, { config }: Manifest, options: Partial<WorkerData>): Promise<EngineBench> {
    const workerData: WorkerData = {
      modelFolder: folder,
      device: "cpu",
      threadCount: 0,
      slotCount: 1,
      slotCapacity: 1024,
      prefillChunkTokens: prefillTokens,
      maxWaiting: 256,
      imageCacheBytes: 1 << 26,
      ...options,
    };
    const worker = new Worker(new URL("../../dist/engine-worker.js", import.meta.url), { workerData });
    return new EngineBench(await EngineClient.start(worker), config.text.vocabSize);
  }

  async warmUp(): Promise<void> {
    for (let i = 0; i < 3; i++) await this.#generate(decodePromptTokens, decodeTokens);
  }

  async measure(streams: readonly number[], repeats: number): Promise<Speed> {
    const prefillMs = await median(repeats, () => this.#run(1, prefillTokens, 1));
    const decode: { streamCount: number; tokensPerSecond: number }[] = [];
    for (const streamCount of streams) {
      // What the tokens after the first take: prompts and start-up are in both runs.
      const ms = await median(
        repeats,
        async () =>
          (await this.#run(streamCount, decodePromptTokens, decodeTokens + 1)) - (await this.#run(streamCount, decodePromptTokens, 1)),
      );
      decode.push({ streamCount, tokensPerSecond: (streamCount * decodeTokens * 1000) / ms });
    }
    return { prefill: { promptTokens: prefillTokens, tokensPerSecond: (prefillTokens * 1000) / prefillMs }, decode };
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** Milliseconds until all of `streamCount` answers are there. */
  async #run(streamCount: number, promptTokens: number, tokenCount: number): Promise<number> {
    const start = performance.now();
    await Promise.all(Array.from({ length: streamCount }, () => this.#generate(promptTokens, tokenCount)));
    return performance.now() - start;
  }

  async #generate(promptTokens: number, tokenCount: number): Promise<void> {
    const request = { prompt: this.#nextPrompt(promptTokens), sampling: greedy, maxTokens: tokenCount, stopTokenIds: [] };
    let received = 0;
    for await (const event of this.#client.submit(request, new AbortController().signal)) if (event.type === "token") received++;
    if (received !== tokenCount) throw new Error(`expected ${tokenCount} tokens, got ${received}`);
  }

  /** Another text each time, so that no prefix is found in a slot. */
  #nextPrompt(length: number): EncodedPrompt {
    const seed = ++this.#promptCount;
    const firstTextId = 32;
    const tokenIds = Int32Array.from(
      { length },
      (_, i) => firstTextId + ((Math.imul(seed * 7919 + i, 2654435761) >>> 8) % (this.#vocabSize - firstTextId)),
    );
    return { tokenIds, ...assignPositions([{ type: "text", length }]), visionExpert: new Uint8Array(length), spans: [] };
  }
}

async function median(repeats: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < repeats; i++) values.push(await measure());
  return values.toSorted((a, b) => a - b)[Math.floor(repeats / 2)]!;
}
