// The kernels' own native tests and bench, outside ONNX Runtime (kernels/ops/modality_moe/NOTES-cuda.md).

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobContext } from "../job.ts";

const kernels = fileURLToPath(new URL("../../../kernels", import.meta.url));
/** Operators with CUDA kernels. */
const ops = readdirSync(join(kernels, "ops")).filter((op) => existsSync(join(kernels, "ops", op, `${op}_cuda_test.cu`)));

/** Runs the tests of the CUDA kernels. */
export function checkKernels({ device, work, say, record, secondsLeft }: JobContext): void {
  if (device === "cpu") return say("on a CPU: npm run kernels:test");
  for (const op of ops) {
    const output = run(cudaTest(op, work), [], secondsLeft());
    record(op, output);
    say(`${op}: ${output.trim().split("\n").at(-1) ?? ""}`);
  }
}

/** Times of one layer of the 28B, T = 1…8192. */
export function benchKernels({ device, work, say, record, secondsLeft }: JobContext): void {
  if (device === "cpu") return say("on a CPU: npm run kernels:bench");
  const output = run(cudaTest("modality_moe", work), ["--bench"], secondsLeft());
  record("output", output);
  for (const line of output.trim().split("\n")) say(line);
}

/** Built here with nvcc for this GPU, unless it came with the kit (scripts/gpu/pack.mjs). */
function cudaTest(op: string, work: string): string {
  const packed = join(kernels, "build", `${op}_cuda_test`);
  if (existsSync(packed)) return packed;
  const program = join(work, `${op}_cuda_test`);
  if (existsSync(program)) return program;
  const sourcesOf = (folder: string) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".cu") || name === `${op}_reference.cc`)
      .map((name) => join(folder, name));
  const sources = [join(kernels, "ops", op), join(kernels, "common")].flatMap(sourcesOf);
  execFileSync("nvcc", ["-std=c++17", "-O3", "-arch=native", "-o", program, ...sources], { stdio: "inherit" });
  return program;
}

function run(program: string, args: readonly string[], seconds: number): string {
  const { status, signal, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    timeout: Math.floor(seconds * 1000),
    maxBuffer: 1 << 26,
  });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(" ")} ended with ${signal ?? status}: ${(stdout + stderr).slice(-1000)}`);
}
