// Jobs of a check or a benchmark. Each runs in its own process with a time limit, so that a crash or a hang affects only that job, and
// everything it found until then is kept.

import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type JobContext = {
  readonly device: "cpu" | "cuda";
  /** A folder that all jobs of a run share, for files that one prepares and others use. */
  readonly work: string;
  /** Whether to use sizes that take seconds on two CPU cores. */
  readonly isSmall: boolean;
  /** Values of the command's own options. */
  readonly settings: Readonly<Record<string, string | number | undefined>>;
  readonly secondsLeft: () => number;
  /** Records a number or structure in the JSON file. */
  readonly record: (name: string, value: unknown) => void;
  /** Adds a line to the table. */
  readonly say: (line: string) => void;
  /** Marks the result as wrong; the job continues. */
  readonly fail: (reason: string) => void;
};

export type Job = {
  readonly name: string;
  /** What the job answers, in a few words. */
  readonly question: string;
  readonly limitSeconds: number;
  /** Further environment variables of the job's process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly run: (context: JobContext) => Promise<void> | void;
};

/** `failed` and `wrong` have `reasons`. Whatever the status, what the job found is kept. A job is `unfinished` while it runs. */
type JobStatus = "ok" | "wrong" | "failed" | "crashed" | "out of time" | "no time left" | "unfinished";

export type JobReport = {
  readonly name: string;
  readonly question: string;
  readonly env: Readonly<Record<string, string>>;
  readonly status: JobStatus;
  readonly seconds: number;
  readonly lines: readonly string[];
  readonly reasons: readonly string[];
  readonly records: Readonly<Record<string, unknown>>;
  /** The end of what the process printed, when it did not end well. */
  readonly output?: string;
};

type Entry =
  | { readonly type: "record"; readonly name: string; readonly value: unknown }
  | { readonly type: "line" | "reason"; readonly text: string }
  | { readonly type: "done" };

/** The order for a job's process, passed as one JSON argument. */
export type JobOrder = Pick<JobContext, "device" | "work" | "isSmall" | "settings"> & {
  readonly name: string;
  readonly results: string;
  readonly seconds: number;
};

export type RunOptions = Pick<JobContext, "device" | "isSmall" | "settings"> & {
  readonly budgetSeconds: number;
  /** Program and arguments that start a job's process; the order is appended as one more argument. */
  readonly command: readonly string[];
  /** Called after each job. */
  readonly onReport: (report: JobReport) => void;
  /** Called after each job, and every few seconds while one runs, so that a run that is killed loses nothing. */
  readonly onProgress: (all: readonly JobReport[]) => void;
};

/** Less than this is not worth a start. */
const leastSeconds = 3;
const outputTailLength = 3000;
const progressMs = 2000;

/** Runs the jobs one after the other in the given order; jobs that do not fit into the budget are skipped and reported as such. */
export async function runJobs(jobs: readonly Job[], options: RunOptions): Promise<JobReport[]> {
  const deadline = performance.now() + options.budgetSeconds * 1000;
  const work = mkdtempSync(join(tmpdir(), "ernie-vl-jobs-"));
  const reports: JobReport[] = [];
  try {
    for (const job of jobs) {
      const left = (deadline - performance.now()) / 1000;
      const onProgress = (unfinished: JobReport): void => options.onProgress([...reports, unfinished]);
      const report = left < leastSeconds ? notRun(job) : await runJob(job, Math.min(job.limitSeconds, left - 1), work, options, onProgress);
      reports.push(report);
      options.onReport(report);
      options.onProgress(reports);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return reports;
}

function notRun({ name, question, env = {} }: Job): JobReport {
  return { name, question, env, status: "no time left", seconds: 0, lines: [], reasons: [], records: {} };
}

async function runJob(
  job: Job,
  seconds: number,
  work: string,
  { device, isSmall, settings, command }: RunOptions,
  onProgress: (unfinished: JobReport) => void,
): Promise<JobReport> {
  const { name, question, env = {} } = job;
  const results = join(work, `${name}.jsonl`);
  const order: JobOrder = { name, device, isSmall, settings, work, results, seconds };
  const started = performance.now();
  const child = spawn(command[0]!, [...command.slice(1), JSON.stringify(order)], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // In its own process group, so that everything the job started ends with it.
    detached: true,
  });
  const kill = (): void => {
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      // It has just ended.
    }
  };
  const stop = (): void => {
    kill();
    process.exit(1);
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output = (output + text).slice(-outputTailLength)));
  }
  const reportOf = (status: JobStatus, { lines, reasons, records }: Found): JobReport => {
    const took = Math.round((performance.now() - started) / 100) / 10;
    const isClean = status === "ok" || status === "wrong";
    return { name, question, env, status, seconds: took, lines, reasons, records, ...(!isClean && { output }) };
  };
  const progress = setInterval(() => onProgress(reportOf("unfinished", readEntries(results))), progressMs);
  let isOvertime = false;
  const timer = setTimeout(() => {
    isOvertime = true;
    kill();
  }, seconds * 1000);
  const ended = await new Promise<{ code: number | null; signal: string | null }>((resume) => {
    child.once("error", (error) => (output += error.message));
    child.once("close", (code, signal) => resume({ code, signal }));
  });
  clearTimeout(timer);
  clearInterval(progress);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  const found = readEntries(results);
  const status = isOvertime
    ? "out of time"
    : ended.signal
      ? "crashed"
      : !found.isDone
        ? "failed"
        : found.reasons.length > 0
          ? "wrong"
          : "ok";
  if (ended.signal && !isOvertime) found.reasons.push(`ended by ${ended.signal}`);
  return reportOf(status, found);
}

type Found = { lines: string[]; reasons: string[]; records: Record<string, unknown>; isDone: boolean };

function readEntries(path: string): Found {
  const found: Found = { lines: [], reasons: [], records: {}, isDone: false };
  // What follows the last line break is the empty end of the file, or a line of which only a part is written.
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
  for (const text of lines) {
    const entry = JSON.parse(text) as Entry;
    if (entry.type === "record") found.records[entry.name] = entry.value;
    else if (entry.type === "line") found.lines.push(entry.text);
    else if (entry.type === "reason") found.reasons.push(entry.text);
    else found.isDone = true;
  }
  return found;
}

/** In the job's process: runs one job, writes each finding at once, and ends the process. */
export async function performJob(jobs: readonly Job[], order: JobOrder): Promise<never> {
  const deadline = performance.now() + order.seconds * 1000;
  const write = (entry: Entry): void =>
    appendFileSync(order.results, `${JSON.stringify(entry, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value))}\n`);
  const context: JobContext = {
    ...order,
    secondsLeft: () => (deadline - performance.now()) / 1000,
    record: (name, value) => write({ type: "record", name, value }),
    say: (text) => write({ type: "line", text }),
    fail: (text) => write({ type: "reason", text }),
  };
  try {
    await jobs.find(({ name }) => name === order.name)!.run(context);
    write({ type: "done" });
    process.exit(0); // does not wait for native threads
  } catch (error) {
    write({ type: "reason", text: oneLine(error) });
    console.error(error);
    process.exit(1);
  }
}

/** An error's message on one line. */
function oneLine(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").trim();
  return text.length > 300 ? `${text.slice(0, 200)} … ${text.slice(-90)}` : text;
}

/** A table of job, status and seconds; below each job its lines and what was wrong. */
export function formatReports(reports: readonly JobReport[]): string {
  const width = Math.max(3, ...reports.map(({ name }) => name.length)) + 2;
  const head = `${"job".padEnd(width)}${"status".padEnd(14)}${"s".padStart(7)}`;
  const rows = reports.flatMap(({ name, status, seconds, lines, reasons }) => [
    `${name.padEnd(width)}${status.padEnd(14)}${seconds.toFixed(1).padStart(7)}`,
    ...lines.map((line) => `    ${line}`),
    ...reasons.map((reason) => `    ! ${reason}`),
  ]);
  return [head, ...rows].join("\n");
}
