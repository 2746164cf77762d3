// Numeric parity: the same converted weights on the CPU in float32 and on the device in 16 bits, compared after each stage.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nanoModel } from "../../../src/core/nano-model.ts";
import type { Source } from "../../../src/convert/source.ts";
import type { ActivationFormat } from "../../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../../src/core/prompt.ts";
import { evaluationCases, toChat } from "../../evaluate/evaluation-set.ts";
import { LocalModel } from "../../evaluate/local-model.ts";
import { argmax } from "../../parity/compare.ts";
import { Inspection, type Stages } from "../../parity/inspection.ts";
import { readReference } from "../../parity/reference-case.ts";
import type { JobContext } from "../job.ts";
import { prepareIn } from "../prepared-model.ts";
import { halfFormats, quantized, type Operator } from "./settings.ts";

/** $ERNIE_VL_REFERENCE: the folder that holds tiny-a, made by shared/reference/make_reference.py. */
const referenceFolder = process.env["ERNIE_VL_REFERENCE"] ?? fileURLToPath(new URL("../../../../shared/reference", import.meta.url));

export type Subject = {
  readonly label: string;
  readonly source: Source;
  readonly prompts: (work: string) => Promise<readonly EncodedPrompt[]>;
};

/** Random weights with every part of the real architecture; pictures and videos in the prompts. */
export const tinyA: Subject = {
  label: "tiny-a",
  source: { type: "checkpoint", folder: join(referenceFolder, "tiny-a", "checkpoint-hub") },
  prompts: () => Promise.resolve(readReference(join(referenceFolder, "tiny-a")).cases.map(({ prompt }) => prompt)),
};

/** Trained weights, whose activations have the outliers of real ones. */
export const nano: Subject = { label: "nano", source: { type: "checkpoint", folder: nanoModel }, prompts: nanoPrompts };

async function nanoPrompts(work: string): Promise<EncodedPrompt[]> {
  const { folder } = await prepareIn(work, "nano", nano.source, { weights: "int4", activations: "fp32" });
  const model = new LocalModel(folder);
  const step = Math.floor(evaluationCases.length / 8);
  return Promise.all(Array.from({ length: 8 }, (_, i) => model.encodeChat(toChat(evaluationCases[i * step]!, false))));
}

/**
 * ‖device − CPU‖ / ‖CPU‖ that no stage may exceed, and the share of positions at which the most probable token must agree. Random weights
 * have many near ties of experts, so that few roundings are enough to change a choice (fp16 on a CPU: tiny-a 0.06 and 92 %, nano 0.024 and
 * 98 %); a wrong layout gives an error of 0.9 and more.
 */
const limits: Readonly<Record<ActivationFormat, { readonly error: number; readonly top1: number }>> = {
  fp32: { error: 1e-3, top1: 1 },
  fp16: { error: 0.12, top1: 0.85 },
  bf16: { error: 0.5, top1: 0.6 },
};

export async function checkStages(context: JobContext, subject: Subject, operator: Operator): Promise<void> {
  if (subject.source.type === "checkpoint" && !existsSync(subject.source.folder)) {
    return context.fail(`${subject.source.folder} is not there; point ERNIE_VL_REFERENCE at the folder that holds ${subject.label}`);
  }
  const prompts = await subject.prompts(context.work);
  let vocabSize = 0;
  const stagesOn = async (device: "cpu" | "cuda", activations: ActivationFormat): Promise<Stages[]> => {
    const { folder, manifest } = await prepareIn(context.work, subject.label, subject.source, quantized(operator, activations), true);
    vocabSize = manifest.config.text.vocabSize;
    const inspection = new Inspection(folder, manifest, device);
    return prompts.map((prompt) => inspection.run(prompt));
  };
  const reference = await stagesOn("cpu", "fp32");
  for (const activations of halfFormats(context.device)) {
    const limit = limits[activations];
    const { errors, top1 } = compareStages(reference, await stagesOn(context.device, activations), vocabSize);
    context.record(activations, { errors, top1 });
    const cells = Object.entries(errors).map(([stage, error]) => `${stage} ${error.toExponential(1)}`);
    context.say(`${activations}: ${cells.join(", ")}; top-1 ${(100 * top1).toFixed(1)} %`);
    for (const [stage, error] of Object.entries(errors)) {
      // In 16 bits, near ties of experts fall either way, so routing is reported but not judged.
      if (!stage.startsWith("router") && !(error <= limit.error)) {
        context.fail(`${activations} ${stage}: relative error ${error.toPrecision(2)}, expected at most ${limit.error}`);
      }
    }
    if (!(top1 >= limit.top1)) {
      context.fail(
        `${activations}: the most probable token agrees at ${(100 * top1).toFixed(1)} % of positions, expected ${100 * limit.top1} %`,
      );
    }
  }
}

type StageErrors = { readonly errors: Readonly<Record<string, number>>; readonly top1: number };

/** Relative error of each stage over all prompts and layers, and the share of positions whose most probable token agrees. */
function compareStages(reference: readonly Stages[], other: readonly Stages[], vocabSize: number): StageErrors {
  const sums = new Map<string, { difference: number; norm: number }>();
  for (const [i, stages] of reference.entries()) {
    for (const [name, values] of stages) {
      const theirs = other[i]!.get(name);
      if (!theirs || name.endsWith(".selected")) continue;
      const stage = name.replace(/\.layer\d+/, "");
      const sum = sums.get(stage) ?? { difference: 0, norm: 0 };
      for (let k = 0; k < values.length; k++) {
        sum.difference += (theirs[k]! - values[k]!) ** 2;
        sum.norm += values[k]! ** 2;
      }
      sums.set(stage, sum);
    }
  }
  const errors = [...sums].map(([stage, { difference, norm }]) => [stage, Math.sqrt(difference / norm)] as const);
  return { errors: Object.fromEntries(errors), top1: top1Agreement(reference, other, vocabSize) };
}

function top1Agreement(reference: readonly Stages[], other: readonly Stages[], vocabSize: number): number {
  let equal = 0;
  let count = 0;
  for (const [i, stages] of reference.entries()) {
    const [logits, theirs] = [stages.get("logits")!, other[i]!.get("logits")!];
    for (let start = 0; start < logits.length; start += vocabSize, count++) {
      if (argmax(logits, start, vocabSize) === argmax(theirs, start, vocabSize)) equal++;
    }
  }
  return equal / count;
}
