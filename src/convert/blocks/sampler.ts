// The sampler graph: logits → what the host needs to draw a token. Contract: core/graph-io.ts.

import { samplerCandidates, samplerIo } from "../../core/graph-io.ts";
import { Graph } from "../onnx/graph.ts";
import { gather, int64s, logSumExp, mul, topK } from "../onnx/std-ops.ts";

export function buildSampler(vocabSize: number): Graph {
  const g = new Graph();
  const logits = g.input(samplerIo.logits, "float32", ["rows", vocabSize]);
  const scaled = mul(g, logits, g.input(samplerIo.inverseTemperature, "float32", ["rows", 1]));
  const best = topK(g, scaled, Math.min(samplerCandidates, vocabSize));
  g.output(samplerIo.values, best.values);
  g.output(samplerIo.tokenIds, best.indices);
  g.output(samplerIo.logSumExp, logSumExp(g, scaled, gather(g, best.values, int64s(g, [0]), 1)));
  return g;
}
