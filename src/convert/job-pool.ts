// Runs jobs on worker threads, one per processor, or in the calling thread if the model is small or the compiled worker is missing.

import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Piscina } from "piscina";
import { elementBytes, elementCount } from "../core/data-type.ts";
import { UserError } from "../core/errors.ts";
import { usableCpus } from "../core/usable-cpus.ts";
import { calibratedInputs } from "./calibrated-inputs.ts";
import { Calibration } from "./calibration.ts";
import { DataFiles } from "./data-files.ts";
import { hashFile, type FileDigest } from "./hash-file.ts";
import type { Piece } from "./onnx/graph.ts";
import { planConversion, type Plan, type PlanOptions } from "./plan.ts";
import { runJob } from "./run-job.ts";
import { openSource, type Source, type TensorSource } from "./source.ts";

/** With more, the disk would be the bottleneck. */
const maxThreads = 8;
/** The memory budget of all threads together. */
const maxWorkBytes = 3.5e9;
/** What a thread takes in addition to the tensors of its job. */
const threadBytes = 100e6;
/** Memory of a job as a multiple of its float32 tensors, results and garbage included: 8 threads took 4.5 GB where tensors are 352 MB. */
const copiesOfTensors = 1.5;
/** Memory of calibration as a multiple of the squared width of the widest input: second moments, their factor and work on both. */
const squaresOfWidth = 2.5;
/** A smaller model is written faster than threads start. */
const minBytesForThreads = 200 * 2 ** 20;

/** What a worker thread gets when it starts. */
export type WorkerSetup = {
  readonly source: Source;
  readonly options: PlanOptions;
  readonly folder: string;
  readonly calibration?: string | undefined;
};

export type Task = { readonly type: "job"; readonly index: number } | { readonly type: "hash"; readonly name: string };

/** `refused` is the message of a UserError: error classes are lost when sent between threads. */
export type TaskResult = FileDigest | "done" | { readonly refused: string };

/** Runs up to `concurrency` tasks at a time. */
export type TaskRunner = { readonly concurrency: number; run(task: Task): Promise<FileDigest | "done">; close(): Promise<void> };

/** The state of a thread that runs tasks: its own plan, source and open files. */
export class TaskThread {
  readonly #plan: Plan;
  readonly #calibration: Calibration | undefined;
  readonly #source: TensorSource;
  readonly #files: DataFiles;
  readonly #folder: string;

  constructor({ source, options, folder, calibration }: WorkerSetup) {
    this.#calibration = calibration === undefined ? undefined : new Calibration(calibration, options.config.moe);
    this.#plan = planConversion(options, this.#calibration);
    this.#source = openSource(source, options.config);
    this.#files = new DataFiles(folder, this.#plan.dataFiles);
    this.#folder = folder;
  }

  run(task: Task): FileDigest | "done" {
    if (task.type === "hash") return hashFile(join(this.#folder, task.name));
    runJob(this.#plan.jobs[task.index]!, this.#source, this.#files);
    return "done";
  }

  close(): void {
    this.#files.close();
    this.#source.close();
    this.#calibration?.close();
  }
}

/** Starts one thread per usable processor, fewer if memory would not suffice. */
export function createTaskRunner(setup: WorkerSetup, plan: Plan): TaskRunner {
  const isCompiled = import.meta.url.endsWith(".js");
  const outputBytes = plan.dataFiles.reduce((sum, file) => sum + file.byteLength, 0);
  if (!isCompiled || outputBytes < minBytesForThreads) return inThisThread(setup);
  return inWorkers(setup, Math.min(usableCpus().processorCount, threadsThatFit(plan, setup)));
}

/** Keeps a conversion below 4 GB, whatever the model: 8 threads for the 28B, 5 for the 424B, fewer with a calibration. */
export function threadsThatFit(plan: Plan, { options, calibration }: Pick<WorkerSetup, "options" | "calibration">): number {
  const tensorBytes = plan.jobs.reduce((largest, { piece }) => Math.max(largest, bytesRead(piece)), 0);
  const calibrationBytes = calibration === undefined ? 0 : squaresOfWidth * widestInput(options) ** 2 * elementBytes.float32;
  const fitting = Math.floor(maxWorkBytes / (threadBytes + copiesOfTensors * tensorBytes + calibrationBytes));
  return Math.max(1, Math.min(maxThreads, fitting));
}

/** The widest input among the matrices that are calibrated. */
function widestInput({ config, settings: { weights } }: PlanOptions): number {
  const ofDown = weights === "int4-all" ? config.moe.sharedWidth : config.moe.textWidth;
  return Math.max(...calibratedInputs(config, weights).values(), ofDown);
}

function bytesRead({ reads }: Piece): number {
  return reads.reduce((sum, { shape, rows }) => {
    const count = rows ? rows.count * elementCount(shape.slice(1)) : elementCount(shape);
    return sum + count * elementBytes.float32;
  }, 0);
}

function inThisThread(setup: WorkerSetup): TaskRunner {
  const thread = new TaskThread(setup);
  return {
    concurrency: 1,
    run: async (task) => {
      await setImmediate(); // lets signals and progress run
      return thread.run(task);
    },
    close: async () => thread.close(),
  };
}

function inWorkers(setup: WorkerSetup, threads: number): TaskRunner {
  const pool = new Piscina<Task, TaskResult>({
    filename: new URL("./convert-worker.js", import.meta.url).href,
    workerData: setup,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Infinity,
  });
  return {
    concurrency: threads,
    run: async (task) => {
      const result = await pool.run(task);
      if (typeof result === "object" && "refused" in result) throw new UserError(result.refused);
      return result;
    },
    close: () => pool.destroy(),
  };
}
