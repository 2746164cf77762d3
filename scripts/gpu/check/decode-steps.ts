// Steps of one token beside the same token at the end of a prompt, at the 28B's widths: its heads (128 values, five of queries to one of keys) have
// attention kernels of their own for single tokens, which the sizes of nano and tiny-a never reach.

import type { BatchEntry, KvPages, SlotId } from "../../../src/core/batch.ts";
import { elementBytes } from "../../../src/core/data-type.ts";
import { activationDataType } from "../../../src/core/manifest.ts";
import { greedy, type TokenLogprobs } from "../../../src/core/sampling.ts";
import { ErnieModel } from "../../../src/model/ernie-model.ts";
import { kvPageTokens } from "../../../src/model/kv-memory.ts";
import { deviceId, loadCuda } from "../../../src/runtime/cuda/probe.ts";
import { hostUnitBytes } from "../../../src/runtime/host-reservation.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import type { JobContext } from "../job.ts";
import { prepareIn } from "../prepared-model.ts";
import { quantized } from "./settings.ts";

const chunkTokens = 512;
const topCount = 20;
/**
 * Distance of a step's log-probabilities from those at the prompt's end, over the distance that other tokens before the last one make: 0 where both are equal,
 * 1 where the step does not see the right ones at all.
 */
const limit = 0.5;

export async function checkDecodeSteps({ device, isSmall, work, say, record, fail }: JobContext): Promise<void> {
  const label = isSmall ? "mini" : "28b-slice";
  // Of the two 16-bit formats the finer one.
  const { folder, manifest } = await prepareIn(work, label, { type: "synthetic", name: label }, quantized("modality-moe", "fp16"));
  const { config, settings } = manifest;
  const dtype = activationDataType[settings.activations];
  const unitBytes = device === "cuda" ? loadCuda().driver.pageBytes(deviceId) : hostUnitBytes;
  const pageTokens = unitBytes === undefined ? undefined : kvPageTokens(config.text.headDim * elementBytes[dtype], unitBytes);
  // The last sequence ends in its second page.
  const lengths = isSmall ? [3, 20, 70] : [2, 33, 300, 2049, (pageTokens ?? 8192) + 9];
  const slotCapacity = lengths.at(-1)! + chunkTokens;
  const pageCount = pageTokens === undefined ? 0 : Math.ceil(slotCapacity / pageTokens);
  const memories: Record<string, KvPages | undefined> = {
    "memory of their own": undefined,
    ...(pageTokens !== undefined && { "shared memory": { tokens: pageTokens, count: lengths.length * pageCount } }),
  };
  for (const [memory, kvPages] of Object.entries(memories)) {
    const options = {
      threadCount: 0,
      slotCount: lengths.length,
      slotCapacity,
      kvPages,
      prefillChunkTokens: chunkTokens,
      imageCacheBytes: 1 << 20,
    };
    const model = new ErnieModel(Runtime.open(device), folder, config, dtype, options);
    if (kvPages) lengths.forEach((_, slot) => model.resizeSlot(slot as SlotId, pageCount));
    const distances = compareSteps(model, lengths, config.text.vocabSize);
    model.dispose();
    record(memory, Object.fromEntries(lengths.map((length, i) => [length, distances[i]])));
    const listed = lengths.map((length, i) => `${length}: ${distances[i]!.toFixed(3)}`).join(", ");
    say(`${label}, slots with ${memory}: step and prompt differ, of what other tokens before would change, by (tokens: share) ${listed}`);
    for (const [i, length] of lengths.entries()) {
      if (!(distances[i]! <= limit)) fail(`slots with ${memory}, ${length} tokens: ${distances[i]!.toFixed(2)}, expected at most ${limit}`);
    }
  }
}

/** For each sequence, which all take their step at the same time, once recorded as a graph where there are graphs. */
function compareSteps(model: ErnieModel, lengths: readonly number[], vocabSize: number): number[] {
  const texts = lengths.map((length, slot) => randomTokens(length, slot + 1, vocabSize));
  const atEnd = texts.map((text, slot) => prefill(model, slot, text, text.length));
  const others = texts.map((text, slot) => {
    const other = randomTokens(text.length, slot + 1001, vocabSize);
    other[text.length - 1] = text.at(-1)!;
    return prefill(model, slot, other, other.length);
  });
  for (const [slot, text] of texts.entries()) prefill(model, slot, text, text.length - 1);
  const entries = texts.map((text, slot) => entryOf(slot, text, text.length - 1, text.length));
  // The first runs kernel by kernel, the second replays; each writes the same keys and values once more.
  const results = Array.from({ length: 3 }, () => model.step({ type: "decode", entries }).logprobs!);
  return lengths.map((_, slot) => {
    const scale = distance(atEnd[slot]!, others[slot]!);
    return Math.max(...results.map((result) => distance(atEnd[slot]!, result[slot]!))) / scale;
  });
}

/** Computes the first `length` tokens of the text, and gives what would follow. */
function prefill(model: ErnieModel, slot: number, text: Int32Array, length: number): TokenLogprobs {
  let last: TokenLogprobs | undefined;
  for (let start = 0; start < length; start += chunkTokens) {
    const entry = entryOf(slot, text, start, Math.min(start + chunkTokens, length));
    last = model.step({ type: "prefill", entry }).logprobs?.[0];
  }
  return last!;
}

function entryOf(slot: number, text: Int32Array, start: number, end: number): BatchEntry {
  const count = end - start;
  return {
    slot: slot as SlotId,
    start,
    tokenIds: text.slice(start, end),
    positions: Int32Array.from({ length: 3 * count }, (_, i) => start + (i % count)),
    visionExpert: new Uint8Array(count),
    spans: [],
    draw: { params: greedy, drawIndex: 0, logprobCount: topCount },
  };
}

/** Root mean square over the tokens that are among the best of either; one that is not listed is as probable as the last that is. */
function distance(a: TokenLogprobs, b: TokenLogprobs): number {
  const [first, second] = [a, b].map(({ top }) => new Map(top.map(({ tokenId, logprob }) => [tokenId, logprob]))) as [
    Map<number, number>,
    Map<number, number>,
  ];
  const ids = [...new Set([...first.keys(), ...second.keys()])];
  const squares = ids.map((id) => ((first.get(id) ?? a.top.at(-1)!.logprob) - (second.get(id) ?? b.top.at(-1)!.logprob)) ** 2);
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / ids.length);
}

function randomTokens(length: number, seed: number, vocabSize: number): Int32Array {
  let state = seed;
  return Int32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 32 + ((state >>> 8) % (vocabSize - 32));
  });
}
