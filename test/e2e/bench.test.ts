// The compiled load generator against the compiled server.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrokenServer, startBroken } from "./start-broken.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const entry = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

let server: BrokenServer;
const folder = temporaryFolder();

beforeAll(async () => {
  server = await startBroken("");
});
afterAll(async () => {
  await server.stop();
});

function bench(...args: readonly string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [entry, "bench", "--url", server.url, ...args], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), said: stdout + stderr });
    });
  });
}

test("prompts have the wanted tokens, answers too, pictures arrive, and every request is in the JSON", async () => {
  const file = join(folder, "out.json");
  const sizes = ["--input-tokens", "50", "--output-tokens", "16", "--images", "1", "--image-size", "160x120"];

  const { code, said } = await bench("--requests", "12", "--rate", "40", ...sizes, "--json", file);

  expect(code, said).toBe(0);
  const [{ summary, requests }] = JSON.parse(readFileSync(file, "utf8")).servers;
  expect(summary).toMatchObject({ completed: 12, failed: 0, outputTokens: 12 * 16, withoutUsage: 0 });
  expect(requests).toHaveLength(12);
  const tokenCounts = new Set<number>(requests.map((request: { promptTokens: number }) => request.promptTokens));
  expect(Math.max(...tokenCounts) - Math.min(...tokenCounts)).toBeLessThanOrEqual(2);
  expect(Math.min(...tokenCounts)).toBeGreaterThan(50);
  expect(said).toMatch(/TTFT .*\d/);
});

test("a load that is stopped tells what was done", async () => {
  server.breakBy("slow"); // the load would take half a minute
  const sizes = ["--requests", "200", "--input-tokens", "20", "--output-tokens", "64"];
  const child = spawn(process.execPath, [entry, "bench", "--url", server.url, ...sizes]);
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await expect.poll(async () => (await server.health()).running).toBeGreaterThan(4); // beyond the warm-up of four
  child.kill("SIGINT");
  const [code] = (await once(child, "close")) as [number];

  expect(code).toBe(130);
  expect(said).toMatch(/\d answered, 0 failed, .* not finished/);
  await expect.poll(async () => (await server.health()).running).toBe(0);
});
