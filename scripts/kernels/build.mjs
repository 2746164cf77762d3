// Builds kernels/build/libernie_kernels.so: the CPU kernels with g++, and the CUDA kernels if nvcc is installed.
// `node scripts/kernels/build.mjs [--cpu]`; --cpu leaves the CUDA kernels out. CUDA_ARCHITECTURES=90 builds for other GPUs than the default, 80,90,120.

import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const kernels = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "kernels");
const build = join(kernels, "build");
const library = join(build, "libernie_kernels.so");

// The headers of the ONNX Runtime version that package.json pins; onnxruntime-node itself carries none.
const headerPackage = "com.github.asus4.onnxruntime@0.4.9";
const headersInPackage = "package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers";
const headers = join(build, "onnxruntime-1.29.0");

const nvcc = findNvcc();
const sourcesHash = hashSources();

const versions = new Map();

const warnings = ["-Wall", "-Wextra"];
// -Wno-maybe-uninitialized: a false alarm inside GCC 12's AVX-512 header.
const cxxFlags = ["-std=c++17", "-O3", "-g1", "-fPIC", "-fvisibility=hidden", ...warnings, "-Wno-maybe-uninitialized", "-isystem", headers];
// Machine code for these GPUs (default: Ampere and Ada, Hopper, RTX 50), and intermediate code of the first, which drivers compile for any other newer
// GPU. That is a last resort: it takes a driver half a minute or more, and a driver older than nvcc cannot do it.
const targets = (process.env["CUDA_ARCHITECTURES"] ?? "80,90,120").split(",");
const architectures = targets
  .map((sm) => `arch=compute_${sm},code=sm_${sm}`)
  .concat(`arch=compute_${targets[0]},code=compute_${targets[0]}`);
const nvccFlags = [
  "-std=c++17",
  "-O3",
  "-lineinfo",
  "-Xcompiler",
  "-fPIC,-fvisibility=hidden",
  ...architectures.flatMap((a) => ["-gencode", a]),
];
// The CUDA runtime is linked statically and hidden: the library loads without one, and does not clash with the one of ONNX Runtime. Both
// work in the device's primary context, and a stream is the driver's own handle (CUDA Runtime API, "Interactions with the CUDA Driver API").
const cudaLinkFlags = ["-cudart", "static", "-Xlinker", "--no-undefined", "-Xlinker", "--exclude-libs=ALL"];

try {
  await main(process.argv.includes("--cpu"));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function main(isCpuOnly) {
  if (!hasProgram("g++")) {
    throw new Error(
      "g++, which builds the kernels, was not found; install it (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++) and run this again",
    );
  }
  const withCuda = !isCpuOnly && nvcc !== undefined;
  fetchHeaders();

  const sources = sourcesUnder(kernels).filter((path) => !/_test\.(cc|cu)$|\/bench\//.test(path) && (withCuda || path.endsWith(".cc")));
  const objects = sources.map((path) => join(build, `${relative(kernels, path).replaceAll("/", ".")}.o`));
  const stale = sources
    .map((source, i) => ({ source, object: objects[i], command: commandFor(source, objects[i], withCuda) }))
    .filter(({ object, command }) => !isUpToDate(object, command));
  const compilers = stale.some(({ source }) => source.endsWith(".cu")) ? "g++ and nvcc, which takes minutes" : "g++";
  const kept = sources.length - stale.length;
  console.log(`compiling ${stale.length} files with ${compilers}${kept > 0 ? `; ${kept} are up to date` : ""}`);
  const jobs = stale.map(
    ({ object, command }) =>
      () =>
        compile(object, command),
  );
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let job = jobs.shift(); job; job = jobs.shift()) await job();
    }),
  );

  // Replaced, not overwritten, because a server may have the old library open.
  const output = `${library}.new`;
  if (withCuda) await run(nvcc, ["-shared", ...cudaLinkFlags, "-o", output, ...objects]);
  else await run("g++", ["-shared", "-Wl,--no-undefined", "-o", output, ...objects]);
  renameSync(output, library);
  console.log(
    `${relative(process.cwd(), library)}: CPU${withCuda ? " and CUDA kernels" : " kernels (install nvcc to build the CUDA kernels too)"}`,
  );
}

function commandFor(source, object, withCuda) {
  const output = ["-MMD", "-MF", `${object}.d`, "-c", source, "-o", object];
  if (source.endsWith(".cu")) return [nvcc, ...nvccFlags, ...output];
  const hash = source === join(kernels, "library.cc") ? [`-DERNIE_SOURCES_HASH="${sourcesHash}"`] : [];
  return ["g++", ...cxxFlags, ...hash, ...(withCuda ? ["-DERNIE_CUDA"] : []), ...output];
}

async function compile(object, [program, ...args]) {
  rmSync(`${object}.key`, { force: true });
  await run(program, args);
  writeFileSync(`${object}.key`, keyOf(object, [program, ...args]));
}

function isUpToDate(object, command) {
  if (![object, `${object}.key`, `${object}.d`].every((path) => existsSync(path))) return false;
  const key = keyOf(object, command);
  return key !== "" && readFileSync(`${object}.key`, "utf8") === key;
}

/** A hash of the command, its compiler and all files that it read, except those of the system and ONNX Runtime; "" if one is gone. */
function keyOf(object, command) {
  const rule = readFileSync(`${object}.d`, "utf8").replace(/^[^:]*:/, "");
  const read = rule.match(/(?:\\ |[^\s\\])+/g).map((path) => path.replaceAll("\\ ", " "));
  if (!read.every((path) => existsSync(path))) return "";
  const hash = createHash("sha256").update(JSON.stringify(command)).update(versionOf(command[0]));
  for (const path of read) hash.update(path).update(readFileSync(path));
  return hash.digest("hex");
}

/** A compiler's version text, cached. */
function versionOf(program) {
  versions.set(program, versions.get(program) ?? execFileSync(program, ["--version"], { encoding: "utf8" }));
  return versions.get(program);
}

/** A hash of all sources of the library; src/runtime/kernel-library.ts computes the same. */
function hashSources() {
  const hash = createHash("sha256");
  for (const name of readdirSync(kernels, { recursive: true, encoding: "utf8" }).toSorted()) {
    const isSource = /\.(cc|cu|cuh|h)$/.test(name) && !/^(build|bench)\/|_test\.(cc|cu)$/.test(name);
    if (isSource) hash.update(name).update(readFileSync(join(kernels, name)));
  }
  return hash.digest("hex");
}

function fetchHeaders() {
  if (existsSync(join(headers, "onnxruntime_cxx_api.h"))) return;
  const download = join(build, "download");
  rmSync(download, { recursive: true, force: true });
  mkdirSync(download, { recursive: true });
  console.log(`fetching ONNX Runtime's headers from ${headerPackage} (150 MB, once)`);
  execFileSync("npm", ["pack", headerPackage, "--silent", "--pack-destination", download], { stdio: ["ignore", "ignore", "inherit"] });
  const archive = join(download, readdirSync(download)[0]);
  const depth = String(headersInPackage.split("/").length);
  execFileSync("tar", ["-xzf", archive, "-C", download, "--strip-components", depth, headersInPackage]);
  rmSync(archive);
  rmSync(headers, { recursive: true, force: true });
  renameSync(download, headers);
}

function sourcesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return path === build ? [] : sourcesUnder(path);
    return /\.(cc|cu)$/.test(entry.name) ? [path] : [];
  });
}

/** NVIDIA's packages install nvcc outside the PATH. */
function findNvcc() {
  const roots = [process.env["CUDA_PATH"], process.env["CUDA_HOME"], "/usr/local/cuda"].filter(Boolean);
  return ["nvcc", ...roots.map((root) => join(root, "bin", "nvcc"))].find(hasProgram);
}

function hasProgram(name) {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${program} ${args.join(" ")} failed with exit code ${code}`))));
  });
}
