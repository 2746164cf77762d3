// Executes the code blocks of README.md and docs/ that are marked `run` or `serve`, against the compiled program with the nano model. They run in
// a folder that looks like a checkout and may be written to; ports are replaced, npm and npx are stand-ins for the built program, and where a block
// downloads the 28B, a hub on loopback hands out nano under its name.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allBlocks, type CodeBlock, hasPython, root, whereIs } from "../docs/code-blocks.ts";
import { HubServer } from "../pull/hub-server.ts";
import { modelFolder, startServer, type RunningServer } from "./start-server.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const programs: Readonly<Record<string, string>> = {
  "ernie-vl": `case "$1 $*" in
"serve "*--metrics-port*) exec node dist/main.js "$@" --port 0 --metrics-port 0 ;;
"serve "*) exec node dist/main.js "$@" --port 0 ;;
*) exec node dist/main.js "$@" ;;
esac`,
  npx: `[ "$1" = ernie-vl ] && shift && exec ernie-vl "$@"`,
  npm: `case "$1 $2" in
"install "* | "run kernels:build") exit 0 ;;
"start "*) shift ;;
"run serve") shift 2 ;;
*) echo "npm $* is not run by this test" >&2; exit 1 ;;
esac
[ "$1" = -- ] && shift
exec ernie-vl serve "$@"`,
};

let server: RunningServer;
let folder: string;
let hub: HubServer;

beforeAll(async () => {
  folder = temporaryFolder();
  for (const name of readdirSync(root)) symlinkSync(root + name, join(folder, name));
  mkdirSync(join(folder, ".bin"));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, ".bin", name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, ".bin", name), 0o755);
  }
  server = await startServer([], "unused", { ERNIE_VL_CACHE: join(folder, ".cache") });
  hub = await startHub();
});
afterAll(async () => {
  await Promise.all([server.stop(), hub.stop()]);
});

/** Programs of the system that blocks call and that this machine lacks. */
const missing = ["curl", "openssl", "base64"].filter(
  (name) => !process.env["PATH"]!.split(":").some((path) => existsSync(join(path, name))),
);

// In their order, also where others are shuffled: some start what earlier ones have downloaded.
describe("code blocks of the documentation", { shuffle: false }, () => {
  const blocks = allBlocks().filter(({ code }) => !missing.some((name) => new RegExp(`\\b${name} `).test(code)));
  const needsHub = (block: CodeBlock): boolean => block.marks.has("with-hub");
  const shown = (mark: string, languages: readonly string[], ofHub = false) =>
    blocks
      .filter((block) => block.marks.has(mark) && languages.includes(block.language) && needsHub(block) === ofHub)
      .map((block) => [whereIs(block), block] as const);

  it.concurrent.each(shown("run", ["sh"]))("%s runs in a shell", async (_, block) => {
    const output = await execute(["bash", "-euo", "pipefail", "-c", toThisServer(block.code)]);
    expect(output).toContain(block.marks.get("expect") ?? "");
  });

  it.concurrent.each(shown("serve", ["sh"]))("%s starts a server", async (_, block) => {
    await execute(["bash", "-euo", "pipefail", "-c", block.code], "Listening on http://");
  });

  // One after another: they write to the same folder.
  it.each(shown("serve", ["sh"], true))("%s downloads a checkpoint and serves it", async (_, block) => {
    const code = block.code.replaceAll("--max-model-len 32768", "--max-model-len 4096"); // all that nano has
    const output = await execute(["bash", "-euo", "pipefail", "-c", code], "Listening on http://");
    expect(output).toContain("model    ");
  });
  it.each(shown("run", ["sh"], true))("%s downloads a checkpoint", async (_, block) => {
    const output = await execute(["bash", "-euo", "pipefail", "-c", block.code]);
    expect(output).toContain(block.marks.get("expect") ?? "");
  });

  it.skipIf(!hasPython()).concurrent.each(shown("run", ["python"]))(
    "%s runs in Python, with a stand-in for the library",
    async (_, block) => {
      const path = join(folder, `${block.page.replaceAll(/\W/g, "-")}-${block.line}.py`);
      writeFileSync(path, toThisServer(block.code));
      const output = await execute(["python3", path]);
      expect(output).toContain(block.marks.get("expect"));
    },
  );

  it.each(blocks.filter(({ marks }) => marks.has("printed")).map((block) => [whereIs(block), block] as const))(
    "%s is what the start prints, but for figures and folders",
    (_, block) => {
      const printed = withoutFigures(server.printed());
      const lines = block.code.split("\n").filter((line) => line !== "…" && !line.startsWith("No usable GPU"));
      for (const line of lines) for (const part of withoutFigures(line).split("…")) expect(printed).toContain(part);
    },
  );

  it.concurrent.each(shown("run", ["js", "ts"]))("%s runs in Node and prints what its comments say", async (_, block) => {
    const code = programOf(block, blocks);
    const path = join(folder, `${block.page.replaceAll(/\W/g, "-")}-${block.line}.mts`);
    writeFileSync(path, toThisServer(code));
    const output = await execute(["node", "--import", "tsx", path]);
    for (const [, said] of code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)) expect(output).toContain(said);
  });
});

/** The one at the default address is another. */
const toThisServer = (code: string): string =>
  code
    .replaceAll(/npx ernie-vl (?:chat|batch)(?!.*--url)/g, "$& --url http://localhost:8000")
    .replaceAll(/http:\/\/(127\.0\.0\.1|localhost):8000/g, server.url.replace("localhost", "127.0.0.1"));

const withoutFigures = (text: string): string => text.replaceAll(/\d+(?:[.,]\d+)*(?: [KMG]iB)?/g, "#");

/** Nano under the name that the documentation downloads. */
async function startHub(): Promise<HubServer> {
  const started = await new HubServer().start();
  started.repository = "baidu/ERNIE-4.5-VL-28B-A3B-PT";
  for (const entry of readdirSync(modelFolder, { withFileTypes: true })) {
    if (entry.isFile()) started.put(entry.name, readFileSync(join(modelFolder, entry.name)), entry.name.endsWith(".safetensors"));
  }
  return started;
}

/** With what came before on its page, where it says that it `continues`. */
function programOf(block: CodeBlock, blocks: readonly CodeBlock[]): string {
  if (!block.marks.has("continues")) return block.code;
  const before = blocks.findLast(({ page, line, language }) => page === block.page && line < block.line && language === block.language);
  if (!before) throw new Error(`${whereIs(block)}: nothing to continue`);
  return `${programOf(before, blocks)}\n${block.code}`;
}

/** Everything that was printed. Rejects when the program fails; with `until`, ends it as soon as it has printed that, and rejects when it never does. */
function execute([program, ...args]: readonly string[], until?: string): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${join(folder, ".bin")}:${process.env["PATH"]}`,
    ERNIE_VL_CACHE: join(folder, ".cache"),
    HF_ENDPOINT: hub.endpoint,
    HTTP_PROXY: "",
    http_proxy: "",
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONPATH: join(root, "test/docs/python"),
  };
  const child = spawn(program!, args, { cwd: folder, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let isKilled = false;
  const read = (text: string): void => {
    output += text;
    if (isKilled || until === undefined || !output.includes(until)) return;
    isKilled = true; // what it had printed may still come when it is gone
    process.kill(-child.pid!, "SIGKILL"); // the shell's whole group
  };
  child.stdout.setEncoding("utf8").on("data", read);
  child.stderr.setEncoding("utf8").on("data", read);
  return new Promise((resolve, reject) => {
    child.once("close", (code) => {
      const isFine = until === undefined ? code === 0 : output.includes(until);
      if (isFine) resolve(output);
      else reject(new Error(`exit code ${code}:\n${output}`));
    });
  });
}
