// Checkpoint folder → converted model folder: three graphs, their weights, and the files that text and pictures need.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ConversionSettings } from "../core/manifest.ts";
import { readBytes } from "../core/file-system.ts";
import { checkCalibration } from "./check-calibration.ts";
import { DataFiles } from "./data-files.ts";
import { requireDiskSpace } from "./disk-space.ts";
import type { FileDigest } from "./hash-file.ts";
import { createTaskRunner, type TaskRunner, type WorkerSetup } from "./job-pool.ts";
import { OutputFolder, type Overwrite } from "./output-folder.ts";
import { planConversion, type Job, type Plan } from "./plan.ts";
import type { ScaleRule } from "./quantize/blockwise.ts";
import { hashSource, openSource, type Source, type TensorSource } from "./source.ts";

/** Files copied from the checkpoint if present: tokenizer, chat template, sampling defaults, picture and video settings. */
const companionFiles = [
  "tokenizer.json",
  "tokenizer.model",
  "spm.model",
  "ernie_token_100k.model",
  "added_tokens.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
  "generation_config.json",
  "preprocessor_config.json",
  "video_preprocessor_config.json",
  "processor_config.json",
];

/** A power failure loses at most this much work. */
const journalIntervalMs = 1000;

export type ConvertOptions = {
  readonly settings: ConversionSettings;
  /** Version of this program, for the manifest. */
  readonly programVersion: string;
  /** Identifies the converter's code: a conversion begun by other code is not resumed. Default: the program's version. */
  readonly converterVersion?: string;
  /** Build the graphs with the outputs that the parity check compares. */
  readonly inspect?: boolean;
  /** Build the decoder with the outputs that calibration records. */
  readonly probe?: boolean;
  /** "plain" serves only to measure what the search for scales gains. */
  readonly scaleRule?: ScaleRule;
  /** Path of a calibration file (calibration-file.ts) of this model; int4 matrices are rounded for its inputs. */
  readonly calibration?: string;
  readonly overwrite?: Overwrite;

  /** Called with the bytes of weights written so far. The first call counts what an earlier, stopped conversion left. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Called before waiting for another process that converts to the same target. */
  readonly onWait?: (holder: string) => void;
  /** Aborting keeps finished work; the same conversion, started again, resumes from there. */
  readonly signal?: AbortSignal;
};

/** Converts a checkpoint folder; see `convert`. */
export function convertCheckpoint(folder: string, target: string, options: ConvertOptions): Promise<readonly string[]> {
  return convert({ type: "checkpoint", folder }, target, options);
}

/**
 * Converts `source` and returns notes for the operator. All files are written to a work folder beside `target`, which replaces `target` at
 * the end. The same source and settings give the same bytes, whatever the number of threads and attempts. An error leaves nothing behind.
 */
export async function convert(source: Source, target: string, options: ConvertOptions): Promise<readonly string[]> {
  const { settings, programVersion, inspect = false, probe = false, scaleRule, overwrite = false, onWait, signal } = options;
  const tensors = openSource(source);
  try {
    const planOptions = { config: tensors.config, settings, inspect, probe, scaleRule };
    const plan = planConversion(planOptions);
    checkTensors(plan, tensors);
    const calibration = options.calibration === undefined ? undefined : checkCalibration(options.calibration, settings, tensors.config);
    const notes = [...tensors.notes, ...(calibration?.notes ?? [])];
    const manifest = { ...tensors.manifest(settings, programVersion), ...(calibration && { calibration: calibration.entry }) };
    const key = hash([options.converterVersion ?? programVersion, inspect, probe, scaleRule, manifest, hashSource(source)]);
    const output = await OutputFolder.open(target, { overwrite, key, onWait, signal });
    try {
      if (output.isDoneByOther(manifest)) return notes;
      const names = writeSmallFiles(plan, tensors.companionFolder, output);
      const setup = { source, options: planOptions, folder: output.folder, calibration: options.calibration };
      output.commit(manifest, await writeDataFiles(plan, setup, names, output, options));
      return notes;
    } finally {
      if (signal?.aborted) output.leave();
      else output.discard();
    }
  } finally {
    tensors.close();
  }
}

/** Reports every missing, misshapen or unused tensor before hours of work, not after. */
function checkTensors(plan: Plan, tensors: TensorSource): void {
  const shapes = new Map(plan.jobs.flatMap(({ piece }) => piece.reads.map(({ name, shape }) => [name, shape])));
  for (const [name, shape] of shapes) tensors.readRange(name, shape, 0, 0);
  tensors.finish();
}

/** Returns the names of the files. */
function writeSmallFiles(plan: Plan, companionFolder: string, output: OutputFolder): string[] {
  for (const { name, encode } of plan.modelFiles) output.addFile(name, encode());
  const companions = companionFiles.filter((name) => existsSync(join(companionFolder, name)));
  for (const name of companions) output.addFile(name, readBytes(join(companionFolder, name)));
  return [...plan.modelFiles.map(({ name }) => name), ...companions];
}

/** Computes what is not done yet. Returns the digests of the data files and of the files in `otherNames`. */
async function writeDataFiles(
  plan: Plan,
  setup: WorkerSetup,
  otherNames: readonly string[],
  output: OutputFolder,
  options: ConvertOptions,
): Promise<Record<string, FileDigest>> {
  const files = new DataFiles(output.folder, plan.dataFiles);
  try {
    if (!files.wereComplete) output.journal.restart();
    const outputBytes = plan.dataFiles.reduce((sum, file) => sum + file.byteLength, 0);
    requireDiskSpace(output.folder, outputBytes - files.allocatedBytes);
    const runner = createTaskRunner(setup, plan);
    try {
      await runJobs(plan, runner, output, files, options);
      const names = [...plan.dataFiles.map(({ name }) => name), ...otherNames];
      return await Promise.race([hashFiles(names, runner), rejectWhenAborted(options.signal)]);
    } finally {
      await runner.close();
    }
  } finally {
    files.close();
  }
}

/** Resolves when all results are on disk. After the first error, rejects as soon as no job is running. */
async function runJobs(
  { jobs }: Plan,
  runner: TaskRunner,
  output: OutputFolder,
  files: DataFiles,
  { onProgress, signal }: ConvertOptions,
): Promise<void> {
  const { journal } = output;
  const bytesOf = (some: readonly Job[]) => some.reduce((sum, job) => sum + job.byteLength, 0);
  const waiting = [...jobs.entries()].filter(([index]) => !journal.done.has(index)).values();
  const totalBytes = bytesOf(jobs);
  let doneBytes = bytesOf(jobs.filter((_, index) => journal.done.has(index)));
  let flushedAt = performance.now();
  let isStopped = false;
  onProgress?.(doneBytes, totalBytes);

  const work = async (): Promise<void> => {
    for (const [index, job] of waiting) {
      if (isStopped || signal?.aborted) return;
      await runner.run({ type: "job", index });
      journal.add(index);
      doneBytes += job.byteLength;
      onProgress?.(doneBytes, totalBytes);
      if (performance.now() - flushedAt < journalIntervalMs) continue;
      flushedAt = performance.now();
      await output.recordJobs(() => files.sync());
    }
  };
  const stop = (error: unknown): never => {
    isStopped = true;
    throw error;
  };
  const outcomes = await Promise.allSettled(Array.from({ length: runner.concurrency }, () => work().catch(stop)));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  await output.recordJobs(() => files.sync());
  signal?.throwIfAborted();
}

async function hashFiles(names: readonly string[], runner: TaskRunner): Promise<Record<string, FileDigest>> {
  const digests = await Promise.all(names.map(async (name) => [name, await runner.run({ type: "hash", name })] as const));
  return Object.fromEntries(digests) as Record<string, FileDigest>;
}

/** To race against work that takes up to a minute and can be abandoned at any moment. */
function rejectWhenAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
