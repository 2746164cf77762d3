// Executes the code blocks of README.md and docs/ that are marked `run` or `serve`, against the compiled program with the nano model. They run in
// a folder that looks like a checkout and may be written to; ports are replaced, and npm and npx are stand-ins for the built program.

import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allBlocks, type CodeBlock, root, whereIs } from "../docs/code-blocks.ts";
import { startServer, type RunningServer } from "./start-server.ts";

const programs: Readonly<Record<string, string>> = {
  "ernie-vl": `case "$1 $*" in
"serve "*--metrics-port*) exec node dist/main.js "$@" --port 0 --metrics-port 0 ;;
"serve "*) exec node dist/main.js "$@" --port 0 ;;
*) exec node dist/main.js "$@" ;;
esac`,
  npx: `[ "$1" = ernie-vl ] && shift && exec ernie-vl "$@"`,
  npm: `case "$1 $2" in
"install "*) exit 0 ;;
"start "*) shift ;;
"run serve") shift 2 ;;
*) echo "npm $* is not run by this test" >&2; exit 1 ;;
esac
[ "$1" = -- ] && shift
exec ernie-vl serve "$@"`,
};

let server: RunningServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "ernie-vl-docs-"));
  for (const name of readdirSync(root)) symlinkSync(root + name, join(folder, name));
  mkdirSync(join(folder, ".bin"));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, ".bin", name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, ".bin", name), 0o755);
  }
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Programs of the system that blocks call and that this machine lacks. */
const missing = ["curl", "openssl", "base64"].filter(
  (name) => !process.env["PATH"]!.split(":").some((path) => existsSync(join(path, name))),
);

describe("code blocks of the documentation", () => {
  const blocks = allBlocks().filter(({ code }) => !missing.some((name) => new RegExp(`\\b${name} `).test(code)));
  const shown = (mark: string, languages: readonly string[]) =>
    blocks
      .filter(({ language, marks }) => marks.has(mark) && languages.includes(language))
      .map((block) => [whereIs(block), block] as const);

  it.concurrent.each(shown("run", ["sh"]))("%s runs in a shell", async (_, block) => {
    const output = await execute(["bash", "-euo", "pipefail", "-c", toThisServer(block.code)]);
    expect(output).toContain(block.marks.get("expect") ?? "");
  });

  it.concurrent.each(shown("serve", ["sh"]))("%s starts a server", async (_, block) => {
    await execute(["bash", "-euo", "pipefail", "-c", block.code], "Listening on http://");
  });

  it.concurrent.each(shown("run", ["js", "ts"]))("%s runs in Node and prints what its comments say", async (_, block) => {
    const code = programOf(block, blocks);
    const path = join(folder, `${block.page.replaceAll(/\W/g, "-")}-${block.line}.mts`);
    writeFileSync(path, toThisServer(code));
    const output = await execute(["node", "--import", "tsx", path]);
    for (const [, said] of code.matchAll(/console\.log\(.*\); \/\/ (.+)$/gm)) expect(output).toContain(said);
  });
});

const toThisServer = (code: string): string =>
  code.replaceAll(/http:\/\/(127\.0\.0\.1|localhost):8000/g, server.url.replace("localhost", "127.0.0.1"));

/** With what came before on its page, where it says that it `continues`. */
function programOf(block: CodeBlock, blocks: readonly CodeBlock[]): string {
  if (!block.marks.has("continues")) return block.code;
  const before = blocks.findLast(({ page, line, language }) => page === block.page && line < block.line && language === block.language);
  if (!before) throw new Error(`${whereIs(block)}: nothing to continue`);
  return `${programOf(before, blocks)}\n${block.code}`;
}

/** Everything that was printed. Rejects when the program fails; with `until`, ends it as soon as it has printed that, and rejects when it never does. */
function execute([program, ...args]: readonly string[], until?: string): Promise<string> {
  const env = { ...process.env, PATH: `${join(folder, ".bin")}:${process.env["PATH"]}` };
  const child = spawn(program!, args, { cwd: folder, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const read = (text: string): void => {
    output += text;
    if (until !== undefined && output.includes(until)) process.kill(-child.pid!, "SIGKILL"); // the shell's whole group
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
