// The measurements of bench-gpu, each on an engine in its worker thread as the server runs it.

import sharp from "sharp";
import { weightBytesByPart } from "../../../src/cli/memory-report.ts";
import { encodePrompt } from "../../../src/chat/encode-prompt.ts";
import { loadTemplate } from "../../../src/chat/template.ts";
import { loadTokenizer } from "../../../src/chat/tokenizer.ts";
import { activationDataType } from "../../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../../src/core/prompt.ts";
import { median, percentile } from "../../../src/loadgen/percentiles.ts";
import { kvBytesPerToken } from "../../../src/model/kv-cache.ts";
import { loadCuda, deviceId } from "../../../src/runtime/cuda/probe.ts";
import { loadImage } from "../../../src/vision/load-image.ts";
import { TextPrompts } from "../../bench/text-prompts.ts";
import type { JobContext } from "../job.ts";
import { openBench, prepareBenchModel, sizesOf, type OpenBench } from "./bench-model.ts";
import { measureHostOverhead } from "./host-overhead.ts";
import { decodeFloor } from "./step-floor.ts";

const inGigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`;

export function convertModel(context: JobContext): void {
  const { folder, manifest, seconds } = prepareBenchModel(context);
  const parts = Object.fromEntries(weightBytesByPart(manifest.config, manifest.settings));
  const bytes = Object.values(parts).reduce((sum, value) => sum + value, 0);
  context.record("settings", manifest.settings);
  context.record("weightBytes", parts);
  context.record("convertSeconds", seconds ?? null);
  context.say(
    `${manifest.source.name}: ${inGigabytes(bytes)} of weights, ${seconds === undefined ? `in ${folder} already` : `converted in ${seconds.toFixed(0)} s`}`,
  );
}

/** Load time and memory, then decoding at 1, 2, 4 … streams with the floor of each step. */
export async function measureDecode(context: JobContext): Promise<void> {
  const { streams, context: tokens, decodeTokens, repeats } = sizesOf(context);
  const memoryBefore = usedBytes(context);
  const slotCount = Math.max(...streams);
  const capacity = tokens + decodeTokens + slotCount + 64;
  const { engine, manifest } = await openBench(context, slotCount, capacity);
  const cacheBytes = slotCount * capacity * kvBytesPerToken(manifest.config.text, activationDataType[manifest.settings.activations]);
  context.record("loadSeconds", engine.loadMs / 1000);
  context.record("memoryBytes", { used: usedBytes(context) - memoryBefore, kvCache: cacheBytes });
  context.say(
    `loaded and warmed up in ${(engine.loadMs / 1000).toFixed(1)} s; KV cache ${slotCount} × ${capacity} tokens, ${inGigabytes(cacheBytes)}`,
  );
  const rows: Record<string, unknown>[] = [];
  const floorOf = decodeFloor(manifest);
  for (const streamCount of streams) {
    const shape = { streamCount, promptTokens: tokens, tokenCount: decodeTokens, sharedTokens: tokens - 16 };
    const tokensPerSecond = await engine.decodeTokensPerSecond(shape, repeats);
    const floor = floorOf(streamCount, tokens);
    rows.push({ streams: streamCount, tokensPerSecond, stepMs: (1000 * streamCount) / tokensPerSecond, floorBytes: floor });
    context.record("decode", { contextTokens: tokens, rows });
    context.say(
      `decode, ${streamCount} streams of ${tokens} tokens: ${tokensPerSecond.toFixed(0)} tokens/s, floor ${inGigabytes(floor.weightBytes + floor.cacheBytes)} a step`,
    );
  }
  await engine.close();
}

/** Prompts of growing length, then one sequence as long as the model allows. */
export async function measurePrefill(context: JobContext): Promise<void> {
  const { prompts, longSequence, repeats } = sizesOf(context);
  const { engine, chunkTokens } = await openBench(context, 1, longSequence);
  await engine.prefillMs(prompts[0]!, 1);
  const rows: Record<string, number>[] = [];
  for (const promptTokens of prompts) {
    const ms = await engine.prefillMs(promptTokens, repeats);
    rows.push({ promptTokens, seconds: ms / 1000, tokensPerSecond: (1000 * promptTokens) / ms });
    context.record("prefill", { chunkTokens, rows });
    context.say(`prefill, ${promptTokens} tokens: ${(ms / 1000).toFixed(3)} s, ${((1000 * promptTokens) / ms).toFixed(0)} tokens/s`);
  }
  const answerTokens = 32;
  const times = await engine.generate(engine.prompts.next(longSequence - answerTokens), answerTokens);
  const decodeSeconds = (times.at(-1)! - times[0]!) / 1000;
  const tokensPerSecond = (answerTokens - 1) / decodeSeconds;
  context.record("longSequence", { tokens: longSequence, firstTokenSeconds: times[0]! / 1000, decodeTokensPerSecond: tokensPerSecond });
  context.say(
    `a sequence of ${longSequence} tokens: first token after ${(times[0]! / 1000).toFixed(2)} s, then ${tokensPerSecond.toFixed(1)} tokens/s`,
  );
  await engine.close();
}

/** From a picture's bytes to the first token of the answer, each time with another picture. */
export async function measurePicture(context: JobContext): Promise<void> {
  const { pictureSide, repeats } = sizesOf(context);
  const bench = await openBench(context, 1, 16_384);
  const rows: { hostMs: number; engineMs: number; promptTokens: number }[] = [];
  for (let round = 0; round < repeats + 2; round++) {
    const bytes = await makePicture(pictureSide, round);
    const start = performance.now();
    const prompt = await encodePicture(bench, bytes);
    const hostMs = performance.now() - start;
    const [engineMs] = await bench.engine.generate(prompt, 1);
    if (round >= 2) rows.push({ hostMs, engineMs: engineMs!, promptTokens: prompt.tokenIds.length });
  }
  const [hostMs, engineMs] = [median(rows.map((row) => row.hostMs)), median(rows.map((row) => row.engineMs))];
  context.record("picture", { side: pictureSide, promptTokens: rows[0]!.promptTokens, hostMs, engineMs });
  context.say(
    `picture of ${pictureSide}×${pictureSide}, ${rows[0]!.promptTokens} prompt tokens: first token after ${(hostMs + engineMs).toFixed(0)} ms (${hostMs.toFixed(0)} to decode and resize)`,
  );
  await bench.engine.close();
}

/** Running streams while long prompts arrive: what they still get, and the longest they wait for a token. */
export async function measureMixedLoad(context: JobContext): Promise<void> {
  const { streams, context: tokens, decodeTokens, prompts } = sizesOf(context);
  const running = Math.max(1, Math.max(...streams) / 4);
  const arriving = Math.max(1, running / 4);
  const arrivingTokens = prompts[1]!;
  const count = 2 * decodeTokens;
  const { engine } = await openBench(context, running + arriving, Math.max(tokens + count, arrivingTokens) + 64);
  await engine.generate(engine.prompts.next(tokens, tokens - 16), 1);
  const start = performance.now();
  const answers = Array.from({ length: running }, () => engine.generate(engine.prompts.next(tokens, tokens - 16), count));
  const others = Array.from({ length: arriving }, () => engine.generate(engine.prompts.next(arrivingTokens), 1));
  const firstTokens = (await Promise.all(others)).map(([ms]) => ms!);
  const gaps = (await Promise.all(answers)).flatMap((times) => times.slice(1).map((time, i) => time - times[i]!)).toSorted((a, b) => a - b);
  const seconds = (performance.now() - start) / 1000;
  const result = {
    running,
    arriving,
    arrivingTokens,
    tokensPerSecond: (running * count) / seconds,
    gapMs: { p50: percentile(gaps, 50), p99: percentile(gaps, 99), largest: gaps.at(-1)! },
    firstTokenMs: Math.max(...firstTokens),
  };
  context.record("mixedLoad", result);
  context.say(
    `${running} streams while ${arriving} prompts of ${arrivingTokens} tokens arrive: ${result.tokensPerSecond.toFixed(0)} tokens/s, between two tokens ` +
      `${result.gapMs.p50.toFixed(1)} ms (99 %: ${result.gapMs.p99.toFixed(1)}, largest ${result.gapMs.largest.toFixed(1)})`,
  );
  await engine.close();
}

/** How long the device waits for the host in a step. */
export function measureOverhead(context: JobContext): void {
  const { streams, context: tokens, decodeTokens } = sizesOf(context);
  const { folder, manifest } = prepareBenchModel(context);
  const prompts = new TextPrompts(manifest.config.text.vocabSize);
  const shape = {
    streams: streams.filter((_, i) => i % 3 === 0),
    context: tokens,
    chunkTokens: context.settings["prefillChunk"] as number,
    steps: decodeTokens,
    cudaGraphs: context.settings["cudaGraphs"] === "on",
  };
  const rows = measureHostOverhead(folder, manifest, context.device, shape, (length, shared) => prompts.next(length, shared));
  context.record("hostOverhead", rows);
  for (const { streams: count, stepMs, hostMs } of rows) {
    context.say(
      `host, ${count} streams: ${hostMs.toFixed(3)} of ${stepMs.toFixed(3)} ms a step (${((100 * hostMs) / stepMs).toFixed(1)} %)`,
    );
  }
}

/** Noise, so that nothing is easy to compress; another one for each seed. */
async function makePicture(side: number, seed: number): Promise<Uint8Array> {
  const pixels = Uint8Array.from({ length: 3 * side * side }, (_, i) => Math.imul(i + seed * 7919, 2654435761) >>> 24);
  return sharp(pixels, { raw: { width: side, height: side, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

function encodePicture({ folder, manifest }: OpenBench, bytes: Uint8Array): Promise<EncodedPrompt> {
  const chat = {
    messages: [
      {
        role: "user" as const,
        content: [
          { type: "image" as const, bytes, param: "picture" },
          { type: "text" as const, text: "Describe the image." },
        ],
      },
    ],
    thinking: false,
  };
  return encodePrompt(chat, {
    tokenizer: loadTokenizer(folder),
    template: loadTemplate(folder),
    tokens: manifest.config.tokens,
    loadImage: (picture, request) => loadImage(picture, manifest.config.image, request),
    contextLength: 16_384,
  });
}

/** Memory of the device, of this process on a CPU. */
function usedBytes({ device }: JobContext): number {
  if (device === "cpu") return process.memoryUsage().rss;
  const { cudart } = loadCuda();
  cudart.setDevice(deviceId);
  const { freeBytes, totalBytes } = cudart.memoryInfo();
  return totalBytes - freeBytes;
}
