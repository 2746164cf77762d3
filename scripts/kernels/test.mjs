// Builds the kernels' native tests and runs them; needs g++ only: `node scripts/kernels/test.mjs`. Per op, both with sanitizers:
//   *.cc  the CPU kernels; instructions that the processor lacks are emulated
//   *.cu  the CUDA kernels, run on the CPU by kernels/common/cuda_emulator.h, which looks for races in shared memory
// With --arm64, the CPU kernels of 64-bit ARM in an emulator (Debian: apt-get install g++-aarch64-linux-gnu qemu-user).

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const kernels = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "kernels");
const [ops, common] = [join(kernels, "ops"), join(kernels, "common")];
const build = join(kernels, "build", "test");
const isArm64 = process.argv.includes("--arm64");
const compiler = isArm64 ? "aarch64-linux-gnu-g++" : "g++";
/** The command that runs a program built here; empty if it runs directly. */
const emulator = isArm64 ? ["qemu-aarch64", "-cpu", "neoverse-n1", "-L", "/usr/aarch64-linux-gnu"] : [];

const warnings = ["-Wall", "-Wextra", "-Wno-maybe-uninitialized", "-Wno-unknown-pragmas"];
// float-cast-overflow is undefined behaviour, but not part of "undefined".
const undefinedBehaviour = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"];
// The address sanitizer works neither in qemu nor with the CUDA emulator, which it does not follow from stack to stack.
const addressSanitizer = isArm64 ? [] : ["-fsanitize=address"];
const processor = readFileSync("/proc/cpuinfo", "utf8");
const emulated = [
  ...(processor.includes(" avx512_vnni") ? [] : ["-DERNIE_AVX512_EMULATOR"]),
  ...(processor.includes(" avx_vnni") ? [] : ["-DERNIE_AVX_VNNI_EMULATOR"]),
];
const cpuFlags = ["-std=c++17", "-O1", "-g1", ...warnings, ...undefinedBehaviour, ...addressSanitizer, ...emulated];
const cudaFlags = ["-std=c++17", "-O2", "-g1", ...warnings, ...undefinedBehaviour, "-DERNIE_CUDA_EMULATOR"];
// Every access of a kernel calls a function, which kernels/common/emulator/shared_races_test.cc has instead of the sanitizer's library.
const kernelFlags = [...cudaFlags, "-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0"];

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function main() {
  rmSync(build, { recursive: true, force: true });
  mkdirSync(build, { recursive: true });
  const shared = objectsOf(common, "common.cpu", cpuFlags, (name) => name.endsWith(".cc"));
  const races = join(common, "emulator");
  const detector = objectsOf(races, "emulator", cudaFlags, (name) => name !== "emulator_test.cc");
  const emulatorTest = objectsOf(races, "emulator", kernelFlags, (name) => name === "emulator_test.cc");
  const sharedCuda = [...objectsOf(common, "common.cuda", kernelFlags, (name) => name.endsWith(".cu")), ...detector];
  const programs = readdirSync(ops).flatMap((op) => {
    const cpu = objectsOf(join(ops, op), `${op}.cpu`, cpuFlags, (name) => name.endsWith(".cc") && !name.endsWith("_op.cc"));
    const cuda = [
      ...objectsOf(join(ops, op), `${op}.cuda`, kernelFlags, (name) => name.endsWith(".cu")),
      ...objectsOf(join(ops, op), `${op}.cuda`, cudaFlags, (name) => name.endsWith("_reference.cc")),
    ];
    return [
      { path: join(build, `${op}.cpu`), objects: [...cpu, ...shared], flags: cpuFlags },
      ...(!isArm64 && cuda.some(({ source }) => source.endsWith(".cu"))
        ? [{ path: join(build, `${op}.cuda`), objects: [...cuda, ...sharedCuda], flags: cudaFlags }]
        : []),
    ];
  });
  if (!isArm64) programs.push({ path: join(build, "emulator"), objects: [...emulatorTest, ...detector], flags: cudaFlags });
  await inParallel([...new Set(programs.flatMap(({ objects }) => objects))].map((object) => () => compile(object)));
  await inParallel(programs.map((program) => () => linkAndRun(program)));
}

function objectsOf(folder, prefix, flags, isSource) {
  const names = readdirSync(folder).filter(isSource);
  return names.map((name) => ({ source: join(folder, name), path: join(build, `${prefix}.${name}.o`), flags }));
}

// "-x c++": a .cu file is C++ to the emulator.
function compile({ source, path, flags }) {
  return run(compiler, [...flags, "-x", "c++", "-c", source, "-o", path]);
}

async function linkAndRun({ path, objects, flags }) {
  await run(compiler, [...flags, "-pthread", ...objects.map((object) => object.path), "-o", path]);
  const [program, ...args] = [...emulator, path];
  await run(program, args);
}

async function inParallel(jobs) {
  const worker = async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`${program} failed (${signal ?? `exit code ${code}`})`)),
    );
  });
}
