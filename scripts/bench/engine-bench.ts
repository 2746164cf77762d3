// The engine as the server runs it, in its worker thread (from dist/), measured from the main thread.

import { Worker } from "node:worker_threads";
import { greedy } from "../../src/core/sampling.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import type { EngineStats } from "../../src/engine/engine-protocol.ts";
import { median } from "../../src/loadgen/percentiles.ts";
import type { WorkerData } from "../../src/worker-data.ts";
import { steadyTokensPerSecond } from "./steady-rate.ts";
import { TextPrompts } from "./text-prompts.ts";

export type Speed = {
  readonly prefill: { readonly promptTokens: number; readonly tokensPerSecond: number };
  readonly decode: readonly { readonly streamCount: number; readonly tokensPerSecond: number }[];
};

const prefillTokens = 512;
const decodePromptTokens = 32;
const decodeTokens = 128;

export class EngineBench {
  /** Milliseconds from the start of the thread until it accepted requests. */
  readonly loadMs: number;
  readonly prompts: TextPrompts;
  readonly #client: EngineClient;

  private constructor(client: EngineClient, vocabSize: number, loadMs: number) {
    this.#client = client;
    this.prompts = new TextPrompts(vocabSize);
    this.loadMs = loadMs;
  }

  /** `options`: what differs from the defaults, a small server on the CPU. */
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
    const started = performance.now();
    const worker = new Worker(new URL("../../dist/engine-worker.js", import.meta.url), { workerData });
    const client = await EngineClient.start(worker);
    return new EngineBench(client, config.text.vocabSize, performance.now() - started);
  }

  async warmUp(): Promise<void> {
    for (let i = 0; i < 3; i++) await this.generate(this.prompts.next(decodePromptTokens), decodeTokens);
  }

  async measure(streams: readonly number[], repeats: number): Promise<Speed> {
    const prefillMs = await this.prefillMs(prefillTokens, repeats);
    const decode: { streamCount: number; tokensPerSecond: number }[] = [];
    for (const streamCount of streams) {
      const shape = { streamCount, promptTokens: decodePromptTokens, tokenCount: decodeTokens };
      decode.push({ streamCount, tokensPerSecond: await this.decodeTokensPerSecond(shape, repeats) });
    }
    return { prefill: { promptTokens: prefillTokens, tokensPerSecond: (prefillTokens * 1000) / prefillMs }, decode };
  }

  /** Median milliseconds from a prompt of `promptTokens` tokens to its first answer token. */
  prefillMs(promptTokens: number, repeats: number): Promise<number> {
    return medianOf(repeats, async () => (await this.generate(this.prompts.next(promptTokens), 1))[0]!);
  }

  /**
   * Tokens per second of all streams together while all of them run. Prompts share their first `sharedTokens`, so that long ones are computed
   * once and copied. Throws if the streams never ran together: other work kept this thread from sending them all.
   */
  async decodeTokensPerSecond({ streamCount, promptTokens, tokenCount, sharedTokens = 0 }: DecodeShape, repeats: number): Promise<number> {
    const run = (count: number): Promise<number[][]> => {
      const prompts = Array.from({ length: streamCount }, () => this.prompts.next(promptTokens, sharedTokens));
      return Promise.all(prompts.map((prompt) => this.generate(prompt, count)));
    };
    await run(1); // the slots hold the shared tokens from now on
    return medianOf(repeats, async () => {
      for (let attempt = 0; attempt < 5; attempt++) {
        // A stream decodes at most one token while another one's prompt is computed.
        const speed = steadyTokensPerSecond(await run(tokenCount + streamCount));
        if (speed !== undefined) return speed;
      }
      throw new Error(`${streamCount} streams of ${tokenCount} tokens never ran all at once; is other work on this machine?`);
    });
  }

  /** Generates greedily; returns the arrival time of each token, in milliseconds since the start. */
  async generate(prompt: EncodedPrompt, tokenCount: number): Promise<number[]> {
    const start = performance.now();
    const request = { prompt, sampling: greedy, maxTokens: tokenCount, stopTokenIds: [] };
    const times: number[] = [];
    for await (const event of this.#client.submit(request, new AbortController().signal)) {
      if (event.type === "token") times.push(performance.now() - start);
      if (event.type === "failed") throw new Error(event.message);
    }
    if (times.length !== tokenCount) throw new Error(`expected ${tokenCount} tokens, got ${times.length}`);
    return times;
  }

  stats(): EngineStats {
    return this.#client.stats();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

export type DecodeShape = {
  readonly streamCount: number;
  readonly promptTokens: number;
  /** Tokens that each stream is to decode while all of them run. */
  readonly tokenCount: number;
  readonly sharedTokens?: number;
};

async function medianOf(repeats: number, measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < repeats; i++) values.push(await measure());
  return median(values);
}
