// What long prompts do to the running streams of others: the time between tokens, with the engine in its thread (from dist/).
// tsx scripts/bench/prefill-interference.ts CONVERTED_FOLDER [STREAMS] [PROMPT_TOKENS]

import { Worker } from "node:worker_threads";
import { greedy } from "../../src/core/sampling.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import { readManifest } from "../../src/model-folder.ts";
import type { WorkerData } from "../../src/worker-data.ts";
import { TextPrompts } from "./text-prompts.ts";

const [folder = "", streamCount = "4", promptTokens = "3072"] = process.argv.slice(2);
const roundMs = 3000;

const workerData: WorkerData = {
  modelFolder: folder,
  device: "cpu",
  threadCount: 0,
  slotCount: Number(streamCount) + 1,
  slotCapacity: 4096,
  prefillChunkTokens: 512,
  maxWaiting: 256,
  imageCacheBytes: 1 << 26,
};
const client = await EngineClient.start(new Worker(new URL("../../dist/engine-worker.js", import.meta.url), { workerData }));
const prompts = new TextPrompts(readManifest(folder).config.text.vocabSize);
const gaps: number[] = [];
const chunks: number[] = [];
client.onStep(({ kind, durationMs }) => kind === "prefill" && chunks.push(durationMs));

/** Generates until the limit or the signal; `onToken` is told when each token comes. */
async function generate(prompt: EncodedPrompt, maxTokens: number, signal: AbortSignal, onToken: () => void = () => {}): Promise<void> {
  const request = { prompt, sampling: greedy, maxTokens, stopTokenIds: [] };
  try {
    for await (const _ of client.submit(request, signal, ({ type }) => type === "token" && onToken()));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function stream(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let last: number | undefined;
    await generate(prompts.next(32), 3000, signal, () => {
      const now = performance.now();
      if (last !== undefined) gaps.push(now - last);
      last = now;
    });
  }
}

function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

const end = new AbortController();
const streams = Array.from({ length: Number(streamCount) }, () => stream(end.signal));
await new Promise((resolve) => setTimeout(resolve, roundMs));
const quiet = gaps.splice(0);
chunks.length = 0;
for (const until = performance.now() + roundMs; performance.now() < until;)
  await generate(prompts.next(Number(promptTokens)), 1, end.signal);
const busy = gaps.splice(0);
end.abort();
await Promise.all(streams);
await client.close();

const [quietMs, busyMs, chunkMs] = [quiet, busy, chunks].map((values) => percentile(values, 0.95));
const shown = (ms: number): string => `${ms.toFixed(1)} ms`;
process.stdout.write(`${streamCount} streams; prompts of ${promptTokens} tokens, one after the other, in chunks of 512\n`);
process.stdout.write(`between tokens, p50: quiet ${shown(percentile(quiet, 0.5))}, busy ${shown(percentile(busy, 0.5))}\n`);
process.stdout.write(
  `between tokens, p95: quiet ${shown(quietMs!)}, busy ${shown(busyMs!)}; a chunk, p95: ${shown(chunkMs!)} (${chunks.length})\n`,
);
process.stdout.write(`allowed: 1.5 × quiet + one chunk = ${shown(1.5 * quietMs! + chunkMs!)}\n`);
