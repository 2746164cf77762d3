// The command line that gpu-check and bench-gpu share: which jobs, on what, for how long, and where the results go.

import { Command, Option } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { UserError } from "../../src/core/errors.ts";
import { deviceId, loadCuda, probeCuda } from "../../src/runtime/cuda/probe.ts";
import { programVersion } from "../../src/version.ts";
import { runFacts, writeJson } from "../bench/run-facts.ts";
import { formatReports, performJob, runJobs, type Job, type JobOrder } from "./job.ts";

export type CommandOptions = {
  readonly name: string;
  /** For --help. */
  readonly description: string;
  readonly defaultBudgetSeconds: number;
  readonly defaultOut: string;
  /** Further options; jobs get their values as `settings`. */
  readonly settings?: readonly Option[];
};

/** The machine, program and command of a measurement. */
export type RunDescription = ReturnType<typeof runFacts> & {
  readonly date: string;
  readonly version: string;
  readonly device: "cpu" | "cuda";
  /** Undefined on a CPU. */
  readonly gpu: string | undefined;
};

type Flags = {
  readonly device: "cuda" | "cpu";
  readonly budget: number;
  readonly only?: string;
  readonly list: boolean;
  readonly small: boolean;
  readonly out: string;
};

/** Limits are meant for a GPU's host. A CPU, perhaps a busy one, may take this many times as long. */
const cpuSlowness = 5;

/** Runs the command of `process.argv`. A process that was started for one job performs that job. */
export async function runCommand(jobs: readonly Job[], options: CommandOptions): Promise<void> {
  const order = process.argv.at(-1)!;
  if (order.startsWith("{")) return performJob(jobs, JSON.parse(order) as JobOrder);
  try {
    await runAll(jobs, options);
  } catch (error) {
    console.error(`${options.name}: ${error instanceof UserError ? error.message : error instanceof Error ? error.stack : String(error)}`);
    process.exitCode = 1;
  }
}

async function runAll(jobs: readonly Job[], options: CommandOptions): Promise<void> {
  const program = new Command(options.name)
    .description(options.description)
    .addOption(
      new Option("--device <device>", "cpu tests this program at small sizes, and no GPU").choices(["cuda", "cpu"]).default("cuda"),
    )
    .option(
      "--budget <seconds>",
      "seconds for all jobs; those that no time is left for are named as such",
      wholeNumber(1, 86_400),
      options.defaultBudgetSeconds,
    )
    .option("--only <names>", "these jobs, separated by commas; a name that ends in * stands for all that begin so")
    .option("--list", "print the jobs, with their limits, and end", false)
    .option("--small", "small sizes on a GPU, too", false)
    .option("--out <file>", "the results as JSON, written after each job", options.defaultOut);
  for (const option of options.settings ?? []) program.addOption(option);
  const flags = program.parse().opts<Flags>();
  if (flags.list) return console.log(listJobs(jobs));
  const { device } = flags;
  const names = (options.settings ?? []).map((option) => option.attributeName());
  const settings = Object.fromEntries(names.map((name) => [name, program.getOptionValue(name) as string | number | undefined]));
  const slowness = device === "cpu" ? cpuSlowness : 1;
  const chosen = chooseJobs(jobs, flags.only).map((job) => ({ ...job, limitSeconds: slowness * job.limitSeconds }));
  const run = describeRun(options.name, device);
  // Jobs named by --only may still run: the kernels' own test needs no provider.
  if (run.gpu === undefined && device === "cuda" && flags.only === undefined) {
    throw new UserError(`${probeCuda().reason}; --device cpu runs the jobs on the CPU instead`);
  }
  console.log(`${chosen.length} jobs on ${run.gpu ?? run.machine}, at most ${flags.budget} s`);
  const started = performance.now();
  const reports = await runJobs(chosen, {
    device,
    isSmall: flags.small || device === "cpu",
    settings,
    budgetSeconds: flags.budget,
    command: [process.execPath, ...process.execArgv, process.argv[1]!],
    onReport: ({ name, status }) => console.log(`${((performance.now() - started) / 1000).toFixed(0).padStart(5)} s  ${name}: ${status}`),
    onProgress: (jobs) => writeJson(flags.out, { run, settings, jobs }),
  });
  console.log(`\n${formatReports(reports)}\n\nfull results: ${flags.out}`);
  process.exitCode = reports.every(({ status }) => status === "ok") ? 0 : 1;
}

function listJobs(jobs: readonly Job[]): string {
  return jobs.map(({ name, question, limitSeconds }) => `${name.padEnd(34)}${String(limitSeconds).padStart(4)} s  ${question}`).join("\n");
}

/** `names`: comma-separated; undefined means all. A name that ends in `*` selects all jobs with that prefix. */
export function chooseJobs(jobs: readonly Job[], names: string | undefined): readonly Job[] {
  if (names === undefined) return jobs;
  const chosen = new Set(
    names.split(",").flatMap((name) => {
      const found = jobs.filter((job) => (name.endsWith("*") ? job.name.startsWith(name.slice(0, -1)) : job.name === name));
      if (found.length === 0) throw new UserError(`--only: no job is named ${name}; --list shows them`);
      return found;
    }),
  );
  return jobs.filter((job) => chosen.has(job));
}

function describeRun(command: string, device: "cpu" | "cuda"): RunDescription {
  return {
    date: new Date().toISOString().slice(0, 10),
    version: programVersion(),
    device,
    gpu: device === "cuda" ? gpuName() : undefined,
    ...runFacts(command),
  };
}

/** Without a CUDA context, unlike `probeCuda`: that of this process would take memory from the jobs, and a GPU in exclusive mode lets no second process in. */
function gpuName(): string | undefined {
  try {
    return loadCuda().cudart.deviceName(deviceId);
  } catch {
    return undefined;
  }
}
