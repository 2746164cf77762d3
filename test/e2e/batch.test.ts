// The compiled `ernie-vl batch` against the compiled server: killed, stopped, and gone on with.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrokenServer, startBroken } from "./start-broken.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const entry = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const samples = fileURLToPath(new URL("../../models/ernie-vl-nano/samples", import.meta.url));

let server: BrokenServer;
beforeAll(async () => {
  server = await startBroken("");
});
afterAll(async () => {
  await server.stop();
});

function start(...args: readonly string[]): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, [entry, "batch", ...args, "--url", server.url], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  return { child, said: () => said };
}

async function run(...args: readonly string[]): Promise<{ code: number; said: string }> {
  const { child, said } = start(...args);
  const [code] = (await once(child, "close")) as [number];
  return { code, said: said() };
}

/** Requests of 64 tokens each: slowed down, more than a second. */
function makeInput(count: number): { input: string; output: string; ids: string[] } {
  const folder = temporaryFolder();
  const ids = Array.from({ length: count }, (_, i) => `id-${i}`);
  const body = { messages: [{ role: "user", content: "Tell me a story." }], max_tokens: 64, ignore_eos: true };
  const lines = ids.map((id) => JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body }));
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  writeFileSync(input, lines.join("\n"));
  return { input, output, ids };
}

const linesOf = (path: string): string[] => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []);
const idsOf = (path: string): string[] => linesOf(path).map((line) => (JSON.parse(line) as { custom_id: string }).custom_id);

test("killed again and again, it comes to one answer for each request", async () => {
  const { input, output, ids } = makeInput(120);

  server.breakBy("slow");
  for (const count of [3, 9]) {
    const { child } = start(input, output, "--concurrency", "4");
    await expect.poll(() => linesOf(output).length).toBeGreaterThan(count);
    child.kill("SIGKILL");
    await once(child, "close");
  }
  expect(linesOf(output).length).toBeLessThan(120);
  server.breakBy("");
  const { code, said } = await run(input, output);

  expect(code, said).toBe(0);
  expect(said).toMatch(/120 requests, \d+ already answered by earlier runs/);
  expect(idsOf(output).toSorted()).toEqual(ids.toSorted());
});

test("Ctrl-C lets running requests end, keeps their answers and says how to go on", async () => {
  const { input, output, ids } = makeInput(400);
  server.breakBy("slow");
  const { child, said } = start(input, output, "--concurrency", "8");
  await expect.poll(() => linesOf(output).length).toBeGreaterThan(3);

  child.kill("SIGINT");
  const [code] = (await once(child, "close")) as [number];

  expect(code).toBe(130);
  expect(said()).toMatch(/stopping: waiting for \d requests? to finish/);
  expect(said()).toContain("run the same command again to resume");
  const answered = linesOf(output).length;
  expect(said()).toContain(`requests ${answered} answered, ${400 - answered} not sent or not finished`);
  expect(answered).toBeLessThan(ids.length);
  await expect.poll(async () => (await server.health()).running).toBe(0);
  server.breakBy("");
});

test("what a file of requests holds reaches no terminal as it is, and a dash is no file", async () => {
  const { input, output } = makeInput(1);
  writeFileSync(input, "\u001b[2Jno JSON");

  expect(await run(input, output)).toMatchObject({ code: 1, said: expect.stringContaining("line 1: expected JSON, got \uFFFD[2Jno JSON") });
  const odd = `${input}\u001b[2J`;
  writeFileSync(odd, readFileSync(makeInput(1).input));
  expect((await run(odd, output)).said).toContain("in.jsonl\uFFFD[2J: 1 request\n");
  expect(await run(input, "-")).toMatchObject({ code: 1, said: expect.stringContaining("Expected a file, not standard input") });
});

test("pictures of a folder are read", async () => {
  const folder = temporaryFolder();
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  const content = [
    { type: "image_url", image_url: { url: "03_read_number.png" } },
    { type: "text", text: "Which number is printed here?" },
  ];
  const body = { messages: [{ role: "user", content }], temperature: 0 };
  writeFileSync(input, JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/chat/completions", body }));

  const { code, said } = await run(input, output, "--files", samples);

  expect(code, said).toBe(0);
  expect(linesOf(output)[0]).toContain("The number is 5574.");
});
