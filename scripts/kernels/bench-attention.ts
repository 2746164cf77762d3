// Times attention of the 28B's vision tower on the CPU as the converter builds it with and without our operator, in turns in one run:
// `npx tsx scripts/kernels/bench-attention.ts`. Needs npm run kernels:build; the machine should be idle.

import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { frameAttention } from "../../src/convert/blocks/vision.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import type { VisionConfig } from "../../src/core/model-config.ts";
import { SessionsInTurns } from "./sessions-in-turns.ts";

const [headCount, headDim] = [16, 80];
const hiddenSize = headCount * headDim;
const flags = new Command("bench-attention")
  .option("--threads <n>", "CPU threads", wholeNumber(1, 1024), 2)
  .option("--patches <list>", "numbers of patches", "256,1024,2304,5184")
  .parse()
  .opts<{ threads: number; patches: string }>();
const turns = new SessionsInTurns(flags.threads);
console.log("| patches | ours, ms | G products/s | ONNX Runtime's, ms | G products/s | ours / ONNX Runtime's |\n|---|---|---|---|---|---|");
try {
  const sessions = (["modality-moe", undefined] as const).map((experts) => {
    const graph = new Graph();
    const qkv = graph.input("qkv", "float32", ["frames", "patches", 3 * hiddenSize]);
    const table = (name: string) => graph.input(name, "float32", ["patches", headDim / 2]);
    const weights = new Weights({ weights: "int4", activations: "fp32", ...(experts && { experts }) });
    const rotary = { cosines: table("cosines"), sines: table("sines") };
    graph.output("y", frameAttention(graph, qkv, rotary, { hiddenSize, headCount } as VisionConfig, weights));
    return turns.open(graph).session;
  });
  for (const patches of flags.patches.split(",").map(Number)) {
    const inputs = { qkv: [1, patches, 3 * hiddenSize], cosines: [patches, headDim / 2], sines: [patches, headDim / 2] };
    const runs = sessions.map((session) => ({ session, inputs, outputs: { y: [1, patches, hiddenSize] } }));
    const [ms, theirMs] = turns.medians(runs, Math.max(5, Math.round(4096 / patches)));
    const rate = (time: number) => ((2 * patches ** 2 * hiddenSize) / time / 1e6).toFixed(1);
    console.log(
      `| ${[patches, ms!.toFixed(1), rate(ms!), theirMs!.toFixed(1), rate(theirMs!), (ms! / theirMs!).toFixed(2)].join(" | ")} |`,
    );
  }
  for (const session of sessions) session.dispose();
} finally {
  turns.dispose();
}
