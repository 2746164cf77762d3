import { PassThrough } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { PullProgress } from "../../src/cli/pull-progress.ts";

const file = { name: "model-00001-of-00002.safetensors", bytes: 4096, hash: { algorithm: "sha256", hex: "0" } } as const;
const begun = { file: { ...file, name: "model-00002-of-00002.safetensors" }, arrivedBytes: 1024, replaces: false };
const missing = [{ file, arrivedBytes: 0, replaces: false }, begun];

let progress: PullProgress;
let shown: string;
const said: string[] = [];

function show(isTTY: boolean): void {
  shown = "";
  said.length = 0;
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 120 });
  stream.on("data", (text: Buffer) => (shown += text.toString()));
  progress = new PullProgress(missing, (line) => said.push(line), stream as unknown as NodeJS.WriteStream);
}

afterEach(() => progress.stop());

test("a terminal gets a bar per file and one for all, and a line that stays for each finished file", () => {
  show(true);
  progress.started(begun.file);
  progress.progressed(begun.file, 2048);
  progress.started(file);
  progress.progressed(file, 4096);
  progress.finished(file);
  progress.finished(begun.file);
  progress.stop();

  expect(shown).toMatch(/total +[=-]+ 12% {2}1.0 KiB of 8.0 KiB/);
  expect(shown).toMatch(/total +[=-]+ 75% {2}6.0 KiB of 8.0 KiB/);
  expect(shown).toMatch(/model-00002-of-00002.safetensors +[=-]+ 50% {2}2.0 KiB of 4.0 KiB/);
  expect(shown).toContain("model-00002-of-00002.safetensors: 4.0 KiB, verified");
  expect(shown).toContain("model-00001-of-00002.safetensors: 4.0 KiB, verified");
  expect(said).toEqual([]);
});

test("anything else gets plain lines", () => {
  show(false);
  progress.started(file);
  progress.progressed(file, 4096);
  progress.note("the connection broke");
  progress.finished(file);
  progress.stop();

  expect(said).toEqual(["  the connection broke", "  model-00001-of-00002.safetensors: 4.0 KiB, verified"]);
  expect(shown).toBe("");
});
