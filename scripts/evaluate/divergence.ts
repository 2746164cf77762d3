// npm run divergence: how far quantized weights move the next-token distributions, as KL divergence from fp32 at every position of
// nano's evaluation set with the reference's answers, and of the cases of folders made by shared/reference/make_reference.py.

import { basename, join, resolve } from "node:path";
import { Command } from "commander";
import { nanoModel } from "../../src/core/nano-model.ts";
import { builtInChats } from "../../src/cli/calibration/built-in-chats.ts";
import type { CalibrationPrompts } from "../../src/cli/calibration/encode-prompts.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { ScaleRule } from "../../src/convert/quantize/blockwise.ts";
import type { ConversionSettings } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { readManifest } from "../../src/model-folder.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { programVersion } from "../../src/version.ts";
import { readReference } from "../parity/reference-case.ts";
import { inTemporaryFolder } from "../temporary-folder.ts";
import { evaluationCases, toChat, type EvaluationCase } from "./evaluation-set.ts";
import { allLogits, meanDivergence } from "./kl-divergence.ts";
import { LocalModel } from "./local-model.ts";
import { recordCalibration } from "./record-calibration.ts";

const { args: referenceFolders } = new Command("divergence")
  .description("How far quantized weights move the distributions of the next token: KL divergence from fp32.")
  .argument("[folders...]", "made by make_reference.py; measured beside nano's evaluation set")
  .parse();

/** A model is never calibrated on the prompts that it is measured with. */
type Study = {
  readonly model: string;
  readonly checkpoint: string;
  /** Prompts with their answers, to measure with; `folder` is the checkpoint, converted. */
  readonly measuredOn: (folder: string) => Promise<readonly EncodedPrompt[]>;
  readonly calibratedOn: string;
  readonly calibration: CalibrationPrompts;
};

const nano = { model: "nano", checkpoint: nanoModel };
const [even, odd] = [0, 1].map((parity) => evaluationCases.filter((_, i) => i % 2 === parity)) as [EvaluationCase[], EvaluationCase[]];
const ownChats = even.map((item, i) => ({ chat: toChat(item, i % 4 === 0), place: `case ${2 * i}` }));
const studies: Study[] = [
  {
    ...nano,
    measuredOn: (folder) => answeredCases(folder, evaluationCases),
    calibratedOn: "built-in chats",
    calibration: await builtInChats(),
  },
  {
    ...nano,
    measuredOn: (folder) => answeredCases(folder, odd),
    calibratedOn: "every other case; measured on the rest",
    calibration: ownChats,
  },
  ...referenceFolders.map(referenceStudy),
];
const operators: ConversionSettings["experts"][] = findKernelLibrary() ? [undefined, "modality-moe"] : [undefined];

console.log(
  "| model | calibrated on | operators | weights | positions | plain | searched | calibrated | searched / plain | calibrated / plain |",
);
console.log(`|${"---|".repeat(10)}`);
for (const study of studies) await measure(study);

async function measure({ model, checkpoint, measuredOn, calibratedOn, calibration }: Study): Promise<void> {
  const { encoded, logits, vocabSize } = await withModel(checkpoint, { weights: "fp32", activations: "fp32" }, {}, async (folder) => {
    const prompts = await measuredOn(folder);
    return { encoded: prompts, logits: allLogits(folder, prompts), vocabSize: readManifest(folder).config.text.vocabSize };
  });
  const positions = logits.reduce((sum, { length }) => sum + length / vocabSize, 0);
  for (const experts of operators) {
    for (const weights of ["int8", "int4", "int4-all"] as const) {
      const settings = { weights, activations: "fp32" as const, ...(experts && { experts }) };
      const diverge = (rounding: Rounding) =>
        withModel(checkpoint, settings, rounding, async (folder) => meanDivergence(logits, allLogits(folder, encoded), vocabSize));
      const searched = await diverge({});
      const [plain, calibrated] = weights === "int8" ? [] : [await diverge({ scaleRule: "plain" }), await calibrate(settings, diverge)];
      const divergences = [plain, searched, calibrated].map((value) => value?.toExponential(2) ?? "");
      const ratios = [searched, calibrated].map((value) => (value && plain ? (value / plain).toFixed(2) : ""));
      console.log(`| ${[model, calibratedOn, experts ?? "onnxruntime", weights, positions, ...divergences, ...ratios].join(" | ")} |`);
    }
  }

  function calibrate(settings: ConversionSettings, diverge: (rounding: Rounding) => Promise<number>): Promise<number> {
    return inTemporaryFolder(async (folder) => {
      const file = join(folder, "calibration");
      await recordCalibration(checkpoint, settings, calibration, file);
      return diverge({ calibration: file });
    });
  }
}

type Rounding = { readonly scaleRule?: ScaleRule; readonly calibration?: string };

async function withModel<T>(
  checkpoint: string,
  settings: ConversionSettings,
  rounding: Rounding,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  return inTemporaryFolder(async (work) => {
    const folder = join(work, "model");
    await convertCheckpoint(checkpoint, folder, { settings, ...rounding, programVersion: programVersion(), inspect: true });
    return await use(folder);
  });
}

async function answeredCases(folder: string, cases: readonly EvaluationCase[]): Promise<EncodedPrompt[]> {
  const model = new LocalModel(folder);
  const chats = cases.map((item) => {
    const answer = { role: "assistant" as const, content: [{ type: "text" as const, text: item.hf_output_off }] };
    const { messages } = toChat(item, false);
    return { messages: [...messages, answer], thinking: false };
  });
  const prompts = await Promise.all(chats.map((chat) => model.encodeChat(chat)));
  model.dispose();
  return prompts;
}

function referenceStudy(folder: string): Study {
  const path = resolve(folder);
  const { cases } = readReference(path);
  return {
    model: basename(path),
    checkpoint: join(path, "checkpoint-hub"),
    measuredOn: () => Promise.resolve(cases.map(({ prompt }) => prompt)),
    calibratedOn: "random ids, noise pictures",
    calibration: "random",
  };
}
