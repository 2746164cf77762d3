// Hugging Face transformers at the same sizes with random weights, where Python has it.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { JobContext } from "../job.ts";
import { prepareBenchModel, sizesOf } from "./bench-model.ts";

type TransformersSpeed = {
  readonly dtype: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly prefill: readonly { readonly promptTokens: number; readonly tokensPerSecond: number }[];
  readonly decode: readonly { readonly streams: number; readonly tokensPerSecond: number }[];
};

const script = fileURLToPath(new URL("../transformers-bench.py", import.meta.url));

/** $PYTHON chooses the interpreter; one without torch and transformers makes this job say so and no more. */
export function measureTransformers(context: JobContext): void {
  const { manifest } = prepareBenchModel(context);
  const { streams, context: tokens, decodeTokens, prompts, repeats } = sizesOf(context);
  const order = {
    config: manifest.config,
    device: context.device,
    streams: streams.filter((count) => count <= 32),
    contextTokens: tokens,
    decodeTokens: Math.floor(decodeTokens / 4),
    repeats,
    // Its caches and scores of 32k tokens need more memory than is worth risking the run for.
    prompts: prompts.filter((length) => length <= 8192),
    seconds: context.secondsLeft() - 10,
  };
  const python = process.env["PYTHON"] ?? "python3";
  const timeout = Math.floor((context.secondsLeft() - 5) * 1000);
  const run = spawnSync(python, [script], { input: JSON.stringify(order), encoding: "utf8", maxBuffer: 1 << 24, timeout });
  const last = (run.stdout ?? "").trim().split("\n").at(-1);
  if (!last) {
    const reason = run.signal ? "nothing was measured in the time" : ((run.stderr ?? "").trim().split("\n").at(-1) ?? "");
    return context.say(`no comparison with transformers, started with ${python}: ${reason}`);
  }
  const speed = JSON.parse(last) as TransformersSpeed;
  context.record("transformers", speed);
  for (const { promptTokens, tokensPerSecond } of speed.prefill) {
    context.say(`transformers ${speed.dtype}, prefill of ${promptTokens}: ${tokensPerSecond.toFixed(0)} tokens/s`);
  }
  for (const { streams: count, tokensPerSecond } of speed.decode) {
    context.say(`transformers ${speed.dtype}, decode, ${count} streams: ${tokensPerSecond.toFixed(1)} tokens/s`);
  }
}
