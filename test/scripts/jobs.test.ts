import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { chooseJobs } from "../../scripts/gpu/command-line.ts";
import { formatReports, runJobs, type Job, type JobReport, type RunOptions } from "../../scripts/gpu/job.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const program = fileURLToPath(new URL("job-program.ts", import.meta.url));

const folder = temporaryFolder();

const job = (name: string, limitSeconds = 150, env: Record<string, string> = {}): Job => ({
  name,
  question: "",
  limitSeconds,
  env,
  run: () => undefined,
});

/** Runs jobs of job-program.ts as gpu-check runs its own. */
function run(jobs: readonly Job[], { budgetSeconds = 300, ...others }: Partial<RunOptions> = {}): Promise<JobReport[]> {
  const command = [process.execPath, "--import", "tsx", program];
  const nothing = (): undefined => undefined;
  return runJobs(jobs, {
    device: "cpu",
    isSmall: true,
    settings: {},
    budgetSeconds,
    command,
    onReport: nothing,
    onProgress: nothing,
    ...others,
  });
}

describe.concurrent("jobs", () => {
  it("go on after one that throws, crashes or hangs, and keep what each found before", async () => {
    const reports = await run([job("throws"), job("crashes"), job("hangs", 15), job("well")]);
    expect(reports.map(({ status }) => status)).toEqual(["failed", "crashed", "out of time", "ok"]);
    for (const { records } of reports) expect(records["before"]).toBe(1);
    expect(reports[0]!.reasons).toEqual(["as planned"]);
    expect(reports[1]!.reasons).toEqual(["ended by SIGSEGV"]);
    expect(reports[0]!.output).toContain("as planned");
  });

  it("are wrong, not failed, when they found something to complain about", async () => {
    const [report] = await run([job("complains")]);
    expect(report).toMatchObject({ status: "wrong", reasons: ["too large"], lines: ["x 2"] });
  });

  it("get the environment that they ask for", async () => {
    const [report] = await run([job("reads-environment", 150, { JOB_TEST: "yes" })]);
    expect(report!.records["JOB_TEST"]).toBe("yes");
  });

  it("report what they have found while they run", async () => {
    const go = join(folder, "go");
    const onProgress = (all: readonly JobReport[]): void => {
      const running = all.find(({ status }) => status === "unfinished");
      if (running?.name !== "waits" || running.records["before"] !== 1) return; // on a busy machine, `well` is seen unfinished, too
      expect(all.map(({ name, status }) => `${name}: ${status}`)).toEqual(["well: ok", "waits: unfinished"]);
      writeFileSync(go, "");
    };
    const reports = await run([job("well"), job("waits")], { settings: { go }, onProgress });
    expect(reports.map(({ status }) => status)).toEqual(["ok", "ok"]);
  });

  it("that do not fit into the budget are named", async () => {
    const reports = await run([job("hangs"), job("well")], { budgetSeconds: 5 });
    expect(reports.map(({ status }) => status)).toEqual(["out of time", "no time left"]);
  });

  it("are shown with what they said and what was wrong", async () => {
    const table = formatReports(await run([job("complains")]));
    expect(table).toMatch(/^job +status +s\ncomplains +wrong +\d+\.\d\n {4}x 2\n {4}! too large$/);
  });
});

describe("--only", () => {
  const jobs = ["a-one", "a-two", "b"].map((name) => job(name));
  const names = (only: string | undefined) => chooseJobs(jobs, only).map(({ name }) => name);

  it("takes names and beginnings, and keeps the order of importance", () => {
    expect(names(undefined)).toEqual(["a-one", "a-two", "b"]);
    expect(names("b,a-two")).toEqual(["a-two", "b"]);
    expect(names("a-*")).toEqual(["a-one", "a-two"]);
  });

  it("refuses a name that no job has", () => {
    expect(() => names("c")).toThrow("no job is named c");
    expect(() => names("c*")).toThrow("no job is named c*");
  });
});
