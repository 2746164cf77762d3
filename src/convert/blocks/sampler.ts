// The sampler graph: logits → what the host needs to draw a token. Contract: core/graph-io.ts.

import { samplerCandidates, samplerIo } from "../../core/graph-io.ts";
import { Graph, type Value } from "../onnx/graph.ts";
import { add, gather, gatherElements, int64s, logSumExp, mul, reshape, topK } from "../onnx/std-ops.ts";

/** `runsOnGpu`: what is made for one is 14 times slower on a CPU. Not yet run on a GPU. */
export function buildSampler(vocabSize: number, runsOnGpu: boolean): Graph {
  const g = new Graph();
  const logits = g.input(samplerIo.logits, "float32", ["rows", vocabSize]);
  const scaled = mul(g, logits, g.input(samplerIo.inverseTemperature, "float32", ["rows", 1]));
  const parts = runsOnGpu ? partCount(vocabSize) : 1;
  const best = parts === 1 ? topK(g, scaled, Math.min(samplerCandidates, vocabSize)) : topKOfParts(g, scaled, vocabSize, parts);
  g.output(samplerIo.values, best.values);
  g.output(samplerIo.tokenIds, best.indices);
  g.output(samplerIo.logSumExp, logSumExp(g, scaled, gather(g, best.values, int64s(g, [0]), 1)));
  return g;
}

/** Parts of a row that are searched side by side. */
const mostParts = 32;
/** A part is worth it when few of its logits are candidates. */
const leastPartSize = 8 * samplerCandidates;

/**
 * The candidates of [rows, vocabSize] in two stages: the largest of each part of a row, then of those. On a GPU, ONNX Runtime's TopK gives a row to one
 * block of threads, however long it is. Of equal logits the lower index comes first in both stages, and so in the result.
 */
function topKOfParts(g: Graph, logits: Value, vocabSize: number, parts: number): { readonly values: Value; readonly indices: Value } {
  const [size, k] = [vocabSize / parts, samplerCandidates];
  const scope = g.scope("parts");
  const found = topK(scope, reshape(scope, logits, [-1, parts, size], ["rows", parts, size]), k);
  const starts = g.constant(
    "int64",
    [parts, 1],
    BigInt64Array.from({ length: parts }, (_, part) => BigInt(part * size)),
  );
  const inOneRow = (label: string, x: Value) => reshape(scope.scope(label), x, [-1, parts * k], ["rows", parts * k]);
  const best = topK(g, inOneRow("values", found.values), k);
  return { values: best.values, indices: gatherElements(g, inOneRow("indices", add(scope, found.indices, starts)), best.indices) };
}

/** The most equal parts, a power of two of them, that are large enough. */
function partCount(vocabSize: number): number {
  let parts = 1;
  while (2 * parts <= mostParts && vocabSize % (2 * parts) === 0 && vocabSize / (2 * parts) >= leastPartSize) parts *= 2;
  return parts;
}
