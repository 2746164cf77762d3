// The compiled command line, killed without warning in each step of a calibrated conversion: needs dist/.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { signalWhenPrinted } from "./start-broken.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const folder = temporaryFolder();
const undisturbed = join(folder, "undisturbed");
const chats = join(folder, "chats.jsonl");

/** Runs `ernie-vl convert --calibrate`, which is killed when it says `killAt`. Returns what it printed and how it ended. */
async function convert(target: string, killAt?: string): Promise<{ output: string; code: number | null; signal: string | null }> {
  const child = spawn(process.execPath, [main, "convert", nanoModel, "--out", target, "--calibrate", chats, "--experts", "onnxruntime"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...(killAt !== undefined && signalWhenPrinted("SIGKILL", killAt)) },
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return { output, code, signal };
}

beforeAll(async () => {
  if (!existsSync(main)) throw new Error(`${main} is missing; run \`npm run build\` first`);
  const lines = ["Add 3 and 4.", "Hello!", "What is the capital of Japan?"].map((content) => ({ messages: [{ role: "user", content }] }));
  writeFileSync(chats, lines.map((line) => JSON.stringify(line)).join("\n"));
  expect((await convert(undisturbed)).code).toBe(0);
});

test("killed in each of its steps, a calibrated conversion goes on from there and ends with the same bytes", async () => {
  const target = join(folder, "killed");

  for (const step of ["1/3 convert", "2/3 calibrate", "3/3 convert"]) expect((await convert(target, step)).signal).toBe("SIGKILL");
  const last = await convert(target);

  expect(last.output).toContain("1/3 convert and 2/3 calibrate were done earlier");
  expect(last.code).toBe(0);
  expect(readFileSync(join(target, "manifest.json"), "utf8")).toBe(readFileSync(join(undisturbed, "manifest.json"), "utf8"));
  expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
});
