// npm run docker:rehearse: runs every step of a Dockerfile in folders instead of containers (one per stage), then starts what the image would start
// and runs its health check. Needs the network for npm, g++, and nvcc for the CUDA kernels of Dockerfile.gpu. Steps that change the image's system
// (users, Node) are skipped in favour of this machine's.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { isIgnored, parseCopy, parseDockerfile, type Instruction, type Stage } from "./dockerfile.ts";

const context = fileURLToPath(new URL("../..", import.meta.url));
const dockerignore = readFileSync(join(context, ".dockerignore"), "utf8");

/** Steps that a rehearsal leaves to this machine: programs outside the project's folder, users. */
const isOfTheSystem = (text: string) => /\/usr\/local\/|apt-get|useradd/.test(text);

class Rehearsal {
  readonly root: string;
  readonly #say: (line: string) => void;
  readonly #folders = new Map<string, { path: string; env: Record<string, string> }>();

  constructor(root: string, say: (line: string) => void) {
    this.root = root;
    this.#say = say;
  }

  run({ name, instructions }: Stage): void {
    const stage = { path: "/", env: {} as Record<string, string> };
    for (const instruction of instructions) this.#step(name, stage, instruction);
    this.#folders.set(name, stage);
  }

  /** The local path of `path` in a stage. */
  locate(stage: string, path: string): string {
    const folder = this.#folders.get(stage)?.path ?? "/";
    return join(this.root, stage, isAbsolute(path) ? path : join(folder, path));
  }

  environment(stage: string): Record<string, string> {
    return this.#folders.get(stage)!.env;
  }

  #step(name: string, stage: { path: string; env: Record<string, string> }, { keyword, text }: Instruction): void {
    const here = (path: string) => join(this.root, name, isAbsolute(path) ? path : join(stage.path, path));
    if (keyword === "WORKDIR") {
      stage.path = text;
      mkdirSync(here("."), { recursive: true });
    } else if (keyword === "ENV") {
      for (const [, key, value] of text.matchAll(/(\w+)=(\S+)/g)) stage.env[key!] = value!;
    } else if (keyword === "COPY" || keyword === "RUN") {
      const skipped = isOfTheSystem(text);
      this.#say(`${name}: ${keyword} ${text}${skipped ? "   (this machine's own)" : ""}`);
      if (skipped) return;
      if (keyword === "COPY") this.#copy(text, here);
      else runShell(text, here("."));
    }
  }

  #copy(text: string, here: (path: string) => string): void {
    const { from, sources, target } = parseCopy(text);
    for (const source of sources) {
      const origin = from === undefined ? join(context, source) : this.locate(from, source);
      const isIntoFolder = target.endsWith("/");
      const destination = isIntoFolder ? join(here(target), basename(source)) : here(target);
      mkdirSync(dirname(destination), { recursive: true });
      const isWanted = (path: string) => from !== undefined || path === origin || !isIgnored(dockerignore, relative(context, path));
      cpSync(origin, destination, { recursive: true, filter: isWanted });
    }
  }
}

function runShell(command: string, cwd: string): void {
  const { status } = spawnSync("bash", ["-euc", command], { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) throw new Error(`exit code ${status}: ${command}`);
}

/** Starts the image's program on the CPU and repeats its health check until it succeeds. Returns what it printed. */
async function startAndProbe(rehearsal: Rehearsal, stage: Stage): Promise<string> {
  const listOf = (keyword: string): string[] => {
    const { text } = stage.instructions.findLast((instruction) => instruction.keyword === keyword)!;
    return JSON.parse(text.slice(text.indexOf("["))) as string[];
  };
  const port = await freePort();
  const command = [...listOf("ENTRYPOINT"), ...listOf("CMD")].map((word) => (word === "cuda" ? "cpu" : word));
  const env = { ...process.env, ...rehearsal.environment(stage.name), ERNIE_VL_CACHE: join(rehearsal.root, "cache") };
  const cwd = rehearsal.locate(stage.name, ".");
  const withoutKey = spawnSync(command[0]!, [...command.slice(1), "--port", String(port)], { cwd, env, encoding: "utf8" });
  if (withoutKey.status !== 1 || !withoutKey.stderr.includes("--api-key")) throw new Error("without a key the server must not start");
  const server = spawn(command[0]!, [...command.slice(1), "--port", String(port)], {
    cwd,
    env: { ...env, ERNIE_VL_API_KEY: "rehearsal" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  server.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const probe = listOf("HEALTHCHECK").map((word) => word.replace(":8000", `:${port}`));
  try {
    for (let tries = 0; ; tries++) {
      if (spawnSync(probe[0]!, probe.slice(1), { cwd, env }).status === 0) return printed;
      if (tries === 120 || server.exitCode !== null) throw new Error(`the health check did not succeed:\n${printed}`);
      await new Promise((resume) => setTimeout(resume, 500));
    }
  } finally {
    server.kill("SIGTERM");
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

async function main(): Promise<void> {
  const flags = new Command("docker:rehearse")
    .description("Carries out the steps of a Dockerfile in folders, without Docker, and starts the result.")
    .option("--file <file>", "the Dockerfile", "Dockerfile.gpu")
    .option("--into <folder>", "keep the folders here; otherwise they are removed")
    .parse()
    .opts<{ file: string; into?: string }>();
  const root = flags.into === undefined ? mkdtempSync(join(tmpdir(), "ernie-vl-image-")) : resolve(flags.into);
  try {
    const rehearsal = new Rehearsal(root, console.log);
    const stages = parseDockerfile(readFileSync(join(context, flags.file), "utf8"));
    const started = Date.now();
    for (const stage of stages) rehearsal.run(stage);
    console.log(`all steps passed in ${((Date.now() - started) / 1000).toFixed(0)} s`);
    console.log(await startAndProbe(rehearsal, stages.at(-1)!));
    console.log("the server refused to start without a key, started with one, and its health check succeeded");
  } finally {
    if (flags.into === undefined) rmSync(root, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith("rehearse-image.ts")) await main();
