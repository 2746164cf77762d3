// Packs everything that a bare x86-64 GPU host needs besides this checkout, in parts small enough to transfer one by one:
// `node scripts/gpu/pack.mjs [--out .gpu-kit] [--gpu 90] [--part-mb N] [--reference FOLDER]`. Each transfer also carries the checkout itself (git ls-files).
// The kit: Node, production dependencies and tsx, ONNX Runtime with the CUDA provider, dist/, the kernels with their native test, tiny-a.
// --gpu: the host's compute capability without its point (90: H100, H200); code for other GPUs is left out; `all` keeps it.
// On the host, in the checkout, make the calls of session.sh that are printed at the end. By hand: `bash OUT/unpack.sh PARTS DEST`, then `. DEST/enter.sh` in each shell.

import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { blankOtherGpus } from "./blank-other-gpus.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The limit of one transfer, including the checkout. */
const transferMebibytes = 62;

const { values: flags } = parseArgs({
  options: {
    out: { type: "string", default: join(root, ".gpu-kit") },
    gpu: { type: "string", default: "90" },
    "part-mb": { type: "string" },
    reference: { type: "string", default: join(root, "..", "shared", "reference") },
  },
});

const out = resolve(flags.out);
const work = mkdtempSync(join(tmpdir(), "ernie-vl-kit-"));
try {
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function main() {
  keepOutOfGit(); // before the checkout is measured: parts of an earlier run must not count
  const kit = join(work, "kit");
  mkdirSync(join(kit, "bin"), { recursive: true });
  copyFileSync(realpathSync(process.execPath), join(kit, "bin", "node"));
  packDependencies(kit);
  run("npm", ["run", "build"], root);
  cpSync(join(root, "dist"), join(kit, "dist"), { recursive: true });
  packKernels(kit);
  shrinkLibraries(kit);
  const reference = join(resolve(flags.reference), "tiny-a");
  if (existsSync(reference)) cpSync(reference, join(kit, "reference", "tiny-a"), { recursive: true, dereference: true });
  else console.log(`${reference} does not exist; the kit will not contain it`);
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).trim();
  writeFileSync(join(kit, "commit"), `${commit}\n`);

  const partBytes = (flags["part-mb"] === undefined ? transferMebibytes - treeMebibytes() : Number(flags["part-mb"])) << 20;
  if (!(partBytes > 0)) throw new Error(`the checkout alone is larger than the ${transferMebibytes} MiB of a transfer`);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  run("bash", ["-euc", `set -o pipefail; tar -C "$1" -cf - . | xz -6 -T0 | split -b ${partBytes} -d - "$2/kit.part."`, "bash", kit, out]);
  const parts = readdirSync(out).toSorted();
  writeFileSync(join(out, "kit.sha256"), parts.map((name) => `${sha256(join(out, name))}  ${name}\n`).join(""));
  copyFileSync(join(root, "scripts", "gpu", "unpack.sh"), join(out, "unpack.sh"));
  sayCalls(parts);
}

/** Prints the calls of session.sh to make on the host, and which parts of the kit to transfer for each. */
function sayCalls(parts) {
  const folder = relative(root, out);
  const early = parts.slice(0, -1);
  const calls = [
    { call: 1, limit: 240, carried: early.slice(0, 1) },
    { call: 2, limit: 240, carried: early.slice(1, 2) },
    ...early.slice(2).map((name) => ({ call: "keep", limit: 60, carried: [name] })),
    { call: 3, limit: 600, carried: [parts.at(-1), "kit.sha256", "unpack.sh"] },
    { call: 4, limit: 600, carried: [] },
  ];
  for (const { call, limit, carried } of calls) {
    const bytes = carried.reduce((sum, name) => sum + statSync(join(out, name)).size, 0);
    const paths = carried.map((name) => `${folder}/${name}`).join(" ");
    const transfer = carried.length > 0 ? `transfer ${paths} (${(bytes / 2 ** 20).toFixed(1)} MiB) and run` : "run";
    console.log(`${transfer}, at most ${limit} s:`);
    console.log(`  ${folder === ".gpu-kit" ? "" : `PARTS=${folder} `}bash scripts/gpu/session.sh ${call}`);
  }
  console.log("where less than 600 s are left for a call, give the seconds as its limit and as a second argument");
}

/** A fresh install from the lock file, so that tsx is the only development tool in the kit. */
function packDependencies(kit) {
  const project = join(work, "project");
  mkdirSync(join(project, "scripts", "gpu"), { recursive: true });
  for (const name of ["package.json", "package-lock.json", ".npmrc", "scripts/gpu/install-provider.mjs"]) {
    copyFileSync(join(root, name), join(project, name));
  }
  run("npm", ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], project);
  run("node", ["scripts/gpu/install-provider.mjs"], project);
  const modules = join(project, "node_modules");
  const bin = join(modules, "onnxruntime-node", "bin", "napi-v6");
  for (const name of readdirSync(bin)) if (name !== "linux") rmSync(join(bin, name), { recursive: true });
  rmSync(join(bin, "linux", "arm64"), { recursive: true, force: true });
  for (const name of withDependencies(["tsx"])) {
    if (!existsSync(join(modules, name))) cpSync(join(root, "node_modules", name), join(modules, name), { recursive: true });
  }
  cpSync(modules, join(kit, "node_modules"), { recursive: true, filter: (path) => !/\.(map|d\.ts|d\.mts|d\.cts)$/.test(path) });
}

/** Those of these packages and their transitive dependencies that are installed; optional ones exist for this platform only. */
function withDependencies(names) {
  const found = new Set();
  const queue = [...names];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const manifest = join(root, "node_modules", name, "package.json");
    if (found.has(name) || !existsSync(manifest)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8"));
    queue.push(...Object.keys(dependencies), ...Object.keys(optionalDependencies));
  }
  return found;
}

/** The kernel library; with nvcc also the native tests of the CUDA kernels, so that the host needs no compiler. */
function packKernels(kit) {
  const build = join(kit, "kernels", "build");
  mkdirSync(build, { recursive: true });
  const hasNvcc = spawnSync("nvcc", ["--version"]).status === 0;
  if (!hasNvcc) console.log("nvcc was not found; the kit will not contain CUDA kernels");
  run("node", ["scripts/kernels/build.mjs"], root);
  copyFileSync(join(root, "kernels", "build", "libernie_kernels.so"), join(build, "libernie_kernels.so"));
  if (!hasNvcc) return;
  const targets = (flags.gpu === "all" ? ["80", "90"] : [flags.gpu]).flatMap((sm) => ["-gencode", `arch=compute_${sm},code=sm_${sm}`]);
  for (const op of cudaOps()) {
    const sourcesOf = (folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith(".cu") || name === `${op}_reference.cc`)
        .map((name) => join(folder, name));
    const sources = [join(root, "kernels", "ops", op), join(root, "kernels", "common")].flatMap(sourcesOf);
    run("nvcc", ["-std=c++17", "-O3", ...targets, "-o", join(build, `${op}_cuda_test`), ...sources]);
  }
}

/** Operators with CUDA kernels. */
function cudaOps() {
  const ops = join(root, "kernels", "ops");
  return readdirSync(ops).filter((op) => existsSync(join(ops, op, `${op}_cuda_test.cu`)));
}

/** Removes debug symbols and code for other GPUs, which take most of the space. */
function shrinkLibraries(kit) {
  const modules = join(kit, "node_modules");
  const provider = join(modules, "onnxruntime-node", "bin", "napi-v6", "linux", "x64", "libonnxruntime_providers_cuda.so");
  const built = readdirSync(join(kit, "kernels", "build")).map((name) => join(kit, "kernels", "build", name));
  for (const path of [join(kit, "bin", "node"), ...built]) spawnSync("strip", ["--strip-debug", path]); // without strip, debug symbols stay in
  if (flags.gpu === "all") return;
  for (const path of [provider, ...built]) {
    const library = readFileSync(path);
    const blanked = blankOtherGpus(library, Number(flags.gpu));
    writeFileSync(path, library);
    console.log(`${relative(kit, path)}: ${(blanked / 2 ** 20).toFixed(0)} MiB of code for other GPUs than ${flags.gpu} left out`);
  }
}

/** Size of tracked files and of untracked files that are not ignored. */
function treeMebibytes() {
  const list = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const bytes = list.split("\0").reduce((sum, name) => sum + (statSync(join(root, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  return Math.ceil(bytes / 2 ** 20) + 1;
}

/** The parts lie inside the checkout, so git must ignore them. */
function keepOutOfGit() {
  const path = relative(root, out);
  if (path.startsWith("..") || spawnSync("git", ["check-ignore", "-q", path], { cwd: root }).status === 0) return;
  // In a work tree of its own this is not below its own .git.
  const exclude = resolve(root, execFileSync("git", ["rev-parse", "--git-path", "info/exclude"], { cwd: root, encoding: "utf8" }).trim());
  mkdirSync(dirname(exclude), { recursive: true });
  writeFileSync(exclude, `/${path}/\n`, { flag: "a" });
}

function sha256(path) {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function run(program, args, cwd = root) {
  const { status } = spawnSync(program, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} failed with exit code ${status}`);
}
