// npm run divergence -- [FOLDER...]: how far quantized weights move the next-token distributions, as KL divergence from fp32 at every position of
// nano's evaluation set with the reference's answers, and of the cases of folders made by shared/reference/make_reference.py.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { ScaleRule } from "../../src/convert/quantize/blockwise.ts";
import type { ConversionSettings, WeightFormat } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { readManifest } from "../../src/model-folder.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { programVersion } from "../../src/version.ts";
import { Inspection } from "../parity/inspection.ts";
import { readReference } from "../parity/reference-case.ts";
import { evaluationCases, nanoModel, toChat } from "./evaluation-set.ts";
import { LocalModel } from "./local-model.ts";

type Subject = {
  readonly name: string;
  readonly checkpoint: string;
  /** Prompts with their answers; `model` is the checkpoint, converted. */
  readonly prompts: (model: string) => Promise<readonly EncodedPrompt[]>;
};

const nano: Subject = { name: "nano", checkpoint: nanoModel, prompts: nanoPrompts };
const subjects = [nano, ...process.argv.slice(2).map(referenceSubject)];
const operators: ConversionSettings["experts"][] = findKernelLibrary() ? [undefined, "modality-moe"] : [undefined];

console.log("| model | experts' operator | positions | int8 | int4, plain | int4, ours | ours / plain | above int8 |");
console.log("|---|---|---|---|---|---|---|---|");
for (const subject of subjects) await measureSubject(subject);

async function measureSubject({ name, checkpoint, prompts }: Subject): Promise<void> {
  const reference = await withModel(checkpoint, { weights: "fp32", activations: "fp32" }, "searched", async (folder) => {
    const encoded = await prompts(folder);
    return { encoded, logits: allLogits(folder, encoded), vocabSize: readManifest(folder).config.text.vocabSize };
  });
  const { encoded, logits, vocabSize } = reference;
  for (const experts of operators) {
    const measure = (weights: WeightFormat, rule: ScaleRule) =>
      withModel(checkpoint, { weights, activations: "fp32", ...(experts && { experts }) }, rule, async (folder) =>
        meanDivergence(logits, allLogits(folder, encoded), vocabSize),
      );
    // Int8 has no search: both rules are one.
    const int8 = await measure("int8", "searched");
    const plain = await measure("int4", "plain");
    const ours = await measure("int4", "searched");
    const positions = logits.reduce((sum, { length }) => sum + length / vocabSize, 0);
    const divergences = [int8, plain, ours].map((value) => value.toExponential(2));
    const ratios = [ours / plain, (ours - int8) / (plain - int8)].map((ratio) => ratio.toFixed(2));
    console.log(`| ${[name, experts ?? "onnxruntime", positions, ...divergences, ...ratios].join(" | ")} |`);
  }
}

async function withModel<T>(
  checkpoint: string,
  settings: ConversionSettings,
  scaleRule: ScaleRule,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const work = mkdtempSync(join(tmpdir(), "ernie-vl-divergence-"));
  try {
    const folder = join(work, "model");
    await convertCheckpoint(checkpoint, folder, { settings, scaleRule, programVersion: programVersion(), inspect: true });
    return await use(folder);
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function nanoPrompts(folder: string): Promise<EncodedPrompt[]> {
  const model = new LocalModel(folder);
  const chats = evaluationCases.map((item) => {
    const answer = { role: "assistant" as const, content: [{ type: "text" as const, text: item.hf_output_off }] };
    const { messages } = toChat(item, false);
    return { messages: [...messages, answer], thinking: false };
  });
  const prompts = await Promise.all(chats.map((chat) => model.encodeChat(chat)));
  model.dispose();
  return prompts;
}

function referenceSubject(folder: string): Subject {
  const { cases } = readReference(resolve(folder));
  return {
    name: basename(resolve(folder)),
    checkpoint: join(resolve(folder), "checkpoint-hub"),
    prompts: () => Promise.resolve(cases.map(({ prompt }) => prompt)),
  };
}

/** For each prompt [positions, vocabulary]. */
function allLogits(folder: string, prompts: readonly EncodedPrompt[]): Float32Array[] {
  const inspection = new Inspection(folder, readManifest(folder));
  return prompts.map((prompt) => inspection.run(prompt).get("logits") as Float32Array);
}

/** Mean over all positions of KL(reference ‖ other), in nats. */
function meanDivergence(reference: readonly Float32Array[], other: readonly Float32Array[], vocabSize: number): number {
  let sum = 0;
  let count = 0;
  for (const [i, logits] of reference.entries()) {
    for (let start = 0; start < logits.length; start += vocabSize, count++) {
      sum += divergence(logits.subarray(start, start + vocabSize), other[i]!.subarray(start, start + vocabSize));
    }
  }
  return sum / count;
}

function divergence(reference: Float32Array, other: Float32Array): number {
  const referenceTotal = logSumExp(reference);
  const otherTotal = logSumExp(other);
  return reference.reduce((sum, logit, token) => {
    const logProbability = logit - referenceTotal;
    return sum + Math.exp(logProbability) * (logProbability - (other[token]! - otherTotal));
  }, 0);
}

function logSumExp(logits: Float32Array): number {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}
