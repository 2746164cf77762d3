import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { JobReport } from "../../scripts/gpu/job.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = temporaryFolder();

/** What a script writes, tried on the CPU. */
async function run(script: string, args: readonly string[]): Promise<{ jobs: JobReport[]; run: { device: string; commit: string } }> {
  const out = join(folder, `${script}.json`);
  const command = ["--import", "tsx", `scripts/gpu/${script}.ts`, "--device", "cpu", "--out", out, ...args];
  await promisify(execFile)(process.execPath, command, { cwd: root }).catch((error: { stdout?: string; stderr?: string }) => {
    throw new Error(`${error.stdout}${error.stderr}`);
  });
  return JSON.parse(readFileSync(out, "utf8")) as Awaited<ReturnType<typeof run>>;
}

describe("on a CPU", () => {
  it("gpu-check's jobs find the CPU's own half precision close to float32, and answers and steps equal", async () => {
    const { jobs } = await run("gpu-check", ["--only", "environment,stages-nano-qmoe,graphs-qmoe,answers-qmoe"]);
    expect(jobs.map(({ name, status }) => `${name}: ${status}`)).toEqual([
      "environment: ok",
      "stages-nano-qmoe: ok",
      "graphs-qmoe: ok",
      "answers-qmoe: ok",
    ]);
    const stages = jobs[1]!.records["fp16"] as { errors: Record<string, number>; top1: number };
    expect(Object.keys(stages.errors)).toEqual(expect.arrayContaining(["vision_tower", "resampler", "hidden", "logits", "router.probs"]));
    expect(stages.errors["logits"]).toBeGreaterThan(0);
  });

  it("bench-gpu measures a small model in every way", async () => {
    const jobs = "convert,decode,prefill,picture,mixed-load,host-overhead";
    const { jobs: reports, run: description } = await run("bench-gpu", ["--model", "nano", "--models", folder, "--only", jobs]);
    expect(reports.map(({ name, status }) => `${name}: ${status}`)).toEqual(jobs.split(",").map((name) => `${name}: ok`));
    expect(description.device).toBe("cpu");
    const records = Object.assign({}, ...reports.map((report) => report.records)) as Record<
      string,
      { rows: { tokensPerSecond: number }[] }
    >;
    for (const row of [...records["decode"]!.rows, ...records["prefill"]!.rows]) expect(row.tokensPerSecond).toBeGreaterThan(0);
  });
});

describe("without a GPU", () => {
  it("both refuse in one line", async () => {
    for (const script of ["gpu-check", "bench-gpu"]) {
      const command = ["--import", "tsx", `scripts/gpu/${script}.ts`];
      const env = { ...process.env, ONNXRUNTIME_DIR: folder };
      const failure = await promisify(execFile)(process.execPath, command, { cwd: root, env }).catch((error: { stderr: string }) => error);
      expect(failure.stderr.trim()).toMatch(new RegExp(`^${script}: [^\\n]+; --device cpu runs the jobs on the CPU instead$`));
    }
  });
});
