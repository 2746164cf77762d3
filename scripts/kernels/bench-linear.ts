// Times the linear layers of the 28B on the CPU as the converter builds them with and without our operators, in turns in one run:
// `npx tsx scripts/kernels/bench-linear.ts`. Needs npm run kernels:build; the machine should be idle.

import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { linear } from "../../src/convert/blocks/linear.ts";
import { gatedMlp } from "../../src/convert/blocks/mlp.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { Graph, type Value } from "../../src/convert/onnx/graph.ts";
import { SessionsInTurns } from "./sessions-in-turns.ts";

const hidden = 2560;
const layers: Record<string, (g: Graph, x: Value, w: Weights) => Value> = {
  "attention's qkv, 3584 rows": (g, x, w) => linear(g, x, { parts: [{ name: "qkv", rows: 3584 }], columns: hidden, bits: 8 }, w),
  "an MLP as wide as the shared experts, 3072": (g, x, w) =>
    gatedMlp(g, x, { prefix: "shared", hiddenSize: hidden, width: 3072, bits: 8 }, w),
  "dense layer, width 12288": (g, x, w) => gatedMlp(g, x, { prefix: "dense", hiddenSize: hidden, width: 12288, bits: 8 }, w),
};
const operators = { own: "modality-moe", onnxruntime: undefined } as const;

const flags = new Command("bench-linear")
  .option("--threads <n>", "CPU threads", wholeNumber(1, 1024), 2)
  .option("--tokens <list>", "numbers of tokens", "1,16,128")
  .parse()
  .opts<{ threads: number; tokens: string }>();
const turns = new SessionsInTurns(flags.threads);
console.log("| layer | tokens | ours, ms | GB/s of weights | ONNX Runtime's, ms | ours / ONNX Runtime's |\n|---|---|---|---|---|---|");
try {
  for (const [name, build] of Object.entries(layers)) {
    const [own, theirs] = Object.values(operators).map((experts) =>
      open(build, new Weights({ weights: "int4", activations: "fp32", ...(experts && { experts }) })),
    );
    for (const tokens of flags.tokens.split(",").map(Number)) {
      const runs = [own!, theirs!].map(({ session, rows }) => ({
        session,
        inputs: { x: [tokens, hidden] },
        outputs: { y: [tokens, rows] },
      }));
      const [ms, theirMs] = turns.medians(runs, Math.max(15, Math.round(200 / tokens)));
      const rate = own!.weightBytes / ms! / 1e6;
      console.log(`| ${[name, tokens, ms!.toFixed(2), rate.toFixed(1), theirMs!.toFixed(2), (ms! / theirMs!).toFixed(2)].join(" | ")} |`);
    }
    for (const { session } of [own!, theirs!]) session.dispose();
  }
} finally {
  turns.dispose();
}

function open(build: (typeof layers)[string], weights: Weights) {
  const graph = new Graph();
  const y = build(graph, graph.input("x", "float32", ["tokens", hidden]), weights);
  graph.output("y", y);
  return { ...turns.open(graph), rows: Number(y.shape[1]) };
}
