// `ernie-vl convert --calibrate`: converts, records the inputs of the matrices while the result answers sample chats, and converts again for these inputs.

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { calibratedInputs } from "../convert/calibrated-inputs.ts";
import { requireDiskSpace } from "../convert/disk-space.ts";
import { prepareTarget } from "../convert/output-folder.ts";
import { planConversion } from "../convert/plan.ts";
import { hashSource, openSource, type Source, type TensorSource } from "../convert/source.ts";
import { UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import type { ConversionSettings } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { converterFingerprint } from "../version.ts";
import { builtInChats } from "./calibration/built-in-chats.ts";
import { hashChats } from "./calibration/calibration-chat.ts";
import { CalibrationWork, bytesOfEarlierWork } from "./calibration/calibration-work.ts";
import { readChatFile } from "./calibration/chat-file.ts";
import { calibrationTokens, encodePrompts, type CalibrationPrompts, type EncodedPrompts } from "./calibration/encode-prompts.ts";
import { gatherSequences } from "./calibration/gather-sequences.ts";
import { calibrationContextLength, ProbeModel } from "./calibration/probe-model.ts";
import { WorkProgress, type ProgressUnit } from "./work-progress.ts";
import { convertShown, refuseConverted, untilInterrupted } from "./prepare-model.ts";

export type CalibrateOptions = {
  readonly settings: ConversionSettings;
  readonly programVersion: string;
  readonly overwrite: boolean;
  /** JSON Lines; undefined: the chats that come with the program. */
  readonly chatFile: string | undefined;
};

type Say = (line: string) => void;

/**
 * Converts `source` with int4 weights rounded for their recorded inputs. Intermediate results stay beside the target until the end: after a
 * kill or a stop, the same command resumes and produces the same bytes. An error leaves nothing behind. Throws a UserError.
 */
export async function convertCalibrated(source: Source, target: string, options: CalibrateOptions, say: Say): Promise<void> {
  const { settings, chatFile, overwrite } = options;
  refuseOtherWeights(settings);
  refuseConverted(source);
  const { config, companionFolder } = lookInto(source);
  const prompts = await readPrompts(source, chatFile);
  const key = createHash("sha256").update(JSON.stringify([converterFingerprint(), settings, hashSource(source), hashPrompts(prompts)]));
  const encoded = await encodePrompts(prompts, companionFolder, config);
  const path = prepareTarget(target, overwrite);
  requireSpace(config, path, probeSettings(settings), say);
  await untilInterrupted(async (signal) => {
    const onWait = (holder: string) => say(`Waiting for ${holder}, which is calibrating for the same folder (Ctrl-C to stop)`);
    const work = await CalibrationWork.claim(path, key.digest("hex"), { onWait, signal });
    try {
      await calibrate(source, work, { ...options, prompts: encoded, signal }, say);
      say("3/3 convert with calibration");
      await convertShown(source, path, { ...convertOptions(options, settings), calibration: work.file, signal }, say);
    } finally {
      if (signal.aborted) work.leave();
      else work.remove();
    }
  });
}

function refuseOtherWeights({ weights }: ConversionSettings): void {
  if (weights.startsWith("int4")) return;
  const reason = weights === "int8" ? "int8 weights lose almost nothing to rounding" : "fp32 weights are not rounded";
  throw new UserError(`--calibrate works with --weights int4 and int4-all only: ${reason}; omit --calibrate`);
}

function lookInto(source: Source): Pick<TensorSource, "config" | "companionFolder"> {
  const tensors = openSource(source);
  tensors.close();
  return tensors;
}

async function readPrompts(source: Source, chatFile: string | undefined): Promise<CalibrationPrompts> {
  if (chatFile !== undefined) return readChatFile(chatFile);
  return source.type === "synthetic" ? "random" : builtInChats();
}

function hashPrompts(prompts: CalibrationPrompts): string {
  return prompts === "random" ? prompts : hashChats(prompts);
}

/** The probe always runs on the CPU. */
function probeSettings(settings: ConversionSettings): ConversionSettings {
  return { ...settings, activations: "fp32" };
}

function convertOptions({ programVersion, overwrite }: CalibrateOptions, settings: ConversionSettings) {
  return { settings, programVersion, overwrite };
}

/** The probe is deleted before the target is written, so the disk holds one model and the recorded inputs at a time. */
function requireSpace(config: ModelConfig, target: string, settings: ConversionSettings, say: Say): void {
  const { dataFiles } = planConversion({ config, settings, inspect: false, probe: true });
  const modelBytes = dataFiles.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const neededBytes = modelBytes + recordedBytes(config, settings);
  requireDiskSpace(dirname(target), neededBytes - bytesOfEarlierWork(target));
  say(
    `Converting with calibration in three steps: needs ${formatBytes(neededBytes)} of disk space, ${formatBytes(modelBytes)} of it for the result`,
  );
}

/** Upper bound: float16 for every token and input, with a last sequence of maximum length. */
function recordedBytes(config: ModelConfig, { weights }: ConversionSettings): number {
  const tokenCount = calibrationTokens + calibrationContextLength(config.text);
  return [...calibratedInputs(config, weights).values()].reduce((sum, width) => sum + 2 * tokenCount * width, 0);
}

type CalibrationOptions = CalibrateOptions & { readonly prompts: EncodedPrompts; readonly signal: AbortSignal };

/** Makes the calibration file, unless an earlier run did. */
async function calibrate(source: Source, work: CalibrationWork, options: CalibrationOptions, say: Say): Promise<void> {
  const { settings, signal } = options;
  if (work.hasFile) {
    say("1/3 convert and 2/3 calibrate were done earlier");
  } else {
    if (work.hasProbe) say("1/3 convert was done earlier");
    else {
      say("1/3 convert");
      await convertShown(
        source,
        work.probe,
        { ...convertOptions(options, probeSettings(settings)), overwrite: true, probe: true, signal },
        say,
      );
    }
    say("2/3 calibrate");
    await recordProbe(work, options, say);
  }
  work.removeProbe();
}

async function recordProbe(work: CalibrationWork, { prompts, signal }: CalibrationOptions, say: Say): Promise<void> {
  const model = new ProbeModel(work.probe);
  const progress = new WorkProgress(say, tokens);
  const started = performance.now();
  // Every token is computed twice: when the model answers, and when all is recorded.
  const totalTokens = 2 * calibrationTokens;
  let doneTokens = 0;
  const advanceTo = (count: number) => progress.update((doneTokens = Math.min(count, totalTokens)), totalTokens);
  advanceTo(0);
  try {
    const sequences = await gatherSequences(model, prompts, { signal, onTokens: (count) => advanceTo(doneTokens + count) });
    const tokenCount = sequences.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    const share = calibrationTokens / tokenCount;
    let recorded = 0;
    const onTokens = (count: number) => advanceTo(calibrationTokens + Math.round((recorded += count) * share));
    await model.record(sequences, work.file, { signal, onTokens });
    progress.stop();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    say(`Calibrated in ${seconds} s on ${tokenCount} tokens of ${sequences.length} chats`);
  } finally {
    progress.stop();
    model.dispose();
  }
}

const tokens: ProgressUnit = {
  amount: (done, total) => `${done} of ${total} tokens`,
  rate: (perSecond) => `${perSecond.toFixed(1)} tokens/s`,
  ending: "writing what was recorded",
};
