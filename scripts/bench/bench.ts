// npm run bench: tokens per second of the engine in its worker thread, and of Hugging Face transformers on the same weights in the same run if
// $PYTHON (or python3) has torch. Also measures how long the event loop of the server's thread was blocked meanwhile.

import { spawnSync } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import { nanoModel } from "../../src/core/nano-model.ts";
import { wholeNumber } from "../../src/cli/options.ts";
import { chooseSettings, prepareModel } from "../../src/cli/prepare-model.ts";
import { expertChoices, weightFormats, type ExpertChoice, type WeightFormat } from "../../src/core/manifest.ts";
import { EngineBench, type Speed } from "./engine-bench.ts";
import { runFacts, writeJson } from "./run-facts.ts";

type TransformersSpeed = {
  readonly prefill_tokens_per_s: number;
  readonly decode_tokens_per_s: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, string>>;
};

const transformersScript = fileURLToPath(new URL("../hf-bench.py", import.meta.url));

const program = new Command("bench")
  .option("--model <dir>", "checkpoint", nanoModel)
  .addOption(new Option("--weights <format>").choices(weightFormats).default("int4"))
  .addOption(new Option("--experts <operator>").choices(expertChoices).default("auto"))
  .option("--streams <list>", "numbers of parallel streams", "1,4,16")
  .option("--threads <n>", "CPU threads of the engine; 0 = one per usable core", wholeNumber(0, 1024), 0)
  .option("--repeats <n>", "runs of each measurement; medians are reported", wholeNumber(1, 1000), 5)
  .option("--no-transformers", "do not measure Hugging Face transformers")
  .option("--out <file>", "also write the result as JSON")
  .parse();
const flags = program.opts<{
  model: string;
  weights: WeightFormat;
  experts: ExpertChoice;
  streams: string;
  threads: number;
  repeats: number;
  transformers: boolean;
  out?: string;
}>();
const streams = flags.streams.split(",").map(Number);

const { folder, manifest } = await prepareModel(flags.model, chooseSettings(flags.weights, "fp32", flags.experts), console.error);
const engine = await EngineBench.start(folder, manifest, { slotCount: Math.max(...streams), threadCount: flags.threads });
await engine.warmUp();
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const ours = await engine.measure(streams, flags.repeats);
delay.disable();
await engine.close();
const theirs = flags.transformers ? measureTransformers() : undefined;

const result = {
  model: manifest.source.name,
  weights: flags.weights,
  experts: manifest.settings.experts ?? "onnxruntime",
  threads: flags.threads,
  ...runFacts("bench"),
  ours,
  // Values include the 1 ms period of the histogram's own timer.
  eventLoopDelayMs: { p50: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 },
  transformers: theirs,
};
print(ours, theirs);
console.log(
  `\nevent loop delay while the model ran: p50 ${result.eventLoopDelayMs.p50.toFixed(1)} ms, p99 ${result.eventLoopDelayMs.p99.toFixed(1)} ms, ` +
    `largest ${result.eventLoopDelayMs.max.toFixed(1)} ms`,
);
if (flags.out) writeJson(flags.out, result);

/** Runs scripts/hf-bench.py. Undefined on a machine without torch. */
function measureTransformers(): TransformersSpeed | undefined {
  const python = process.env["PYTHON"] ?? "python3";
  const args = [transformersScript, "--model", flags.model, "--streams", flags.streams];
  const run = spawnSync(python, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (run.status === 0) return JSON.parse(run.stdout) as TransformersSpeed;
  console.log(`(no comparison: ${python} could not run hf-bench.py; set PYTHON to a Python with torch and transformers)`);
  return undefined;
}

function print(ours: Speed, theirs: TransformersSpeed | undefined): void {
  const row = (cells: readonly string[]) => console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(16))).join(""));
  const line = (label: string, mine: number, other: number | undefined) =>
    row([label, mine.toFixed(0), ...(other === undefined ? [] : [other.toFixed(1), `${(mine / other).toFixed(1)}×`])]);
  row(["tokens/s", "ernie-vl", ...(theirs ? ["transformers", "ratio"] : [])]);
  line(`prefill, ${ours.prefill.promptTokens} tokens`, ours.prefill.tokensPerSecond, theirs?.prefill_tokens_per_s);
  for (const { streamCount, tokensPerSecond } of ours.decode) {
    line(`decode, ${streamCount} stream${streamCount > 1 ? "s" : ""}`, tokensPerSecond, theirs?.decode_tokens_per_s[String(streamCount)]);
  }
}
