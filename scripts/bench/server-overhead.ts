// npm run bench:server: the cost of HTTP, template, tokenizer, parsers and streams, measured with an engine that computes nothing and
// `ernie-vl bench` as the client. Both share this machine's cores.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { alignColumns } from "../../src/cli/table.ts";
import type { Summary } from "../../src/loadgen/summary.ts";
import { startReadyServer } from "./ready-server.ts";
import { runFacts, writeJson } from "./run-facts.ts";

const serverScript = fileURLToPath(new URL("overhead-server.ts", import.meta.url));
const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

const flags = new Command("bench:server")
  .option("--streams <list>", "numbers of parallel streams", "1,32,256")
  .option("--output-tokens <n>", "length of each answer, in tokens", wholeNumber(1, 4096), 256)
  .option("--seconds <n>", "about how long each measurement takes at 30,000 tokens/s", wholeNumber(1, 3600), 8)
  .option("--repeats <n>", "runs of each; the median by tokens/s is reported", wholeNumber(1, 1000), 3)
  .option("--profile <dir>", "also write a CPU profile of the server")
  .option("--out <file>", "also write the result as JSON")
  .parse()
  .opts<{ streams: string; outputTokens: number; seconds: number; repeats: number; profile?: string; out?: string }>();

type Measurement = {
  readonly streams: number;
  readonly summary: Summary;
  /** CPU time of the server's process, which does not depend on other load on the machine. */
  readonly cpuMicrosecondsPerToken: number;
  readonly clientBusy: number;
};

/** Linux counts the time of processes in steps of 10 ms. */
const microsecondsPerTick = 10_000;

const server = spawn(
  process.execPath,
  [...(flags.profile ? ["--cpu-prof", `--cpu-prof-dir=${resolve(flags.profile)}`] : []), "--import", "tsx", serverScript],
  { stdio: ["ignore", "pipe", "ignore"] },
);
const [line] = (await once(server.stdout, "data")) as [Buffer];
const url = line.toString().trim();
const folder = mkdtempSync(join(tmpdir(), "server-overhead-"));

await measure(url, 32); // warms the server's code up
const measurements: Measurement[] = [];
for (const streams of flags.streams.split(",").map(Number)) measurements.push(await measureRepeatedly(url, streams));
const ready = await startReadyServer(flags.outputTokens);
const client = await measureRepeatedly(ready.url, 32);
ready.close();
server.kill("SIGTERM");
rmSync(folder, { recursive: true });

const result = {
  ...runFacts("bench:server"),
  measurements,
  clientTokensPerSecond: client.summary.outputThroughput,
};
const rows = measurements.map(({ streams, summary, cpuMicrosecondsPerToken, clientBusy }) => [
  String(streams),
  summary.requestThroughput.toFixed(0),
  summary.outputThroughput.toFixed(0),
  (1_000_000 / summary.outputThroughput).toFixed(1),
  cpuMicrosecondsPerToken.toFixed(1),
  summary.ttft!.p50.toFixed(1),
  summary.tpot!.p50.toFixed(3),
  `${(100 * clientBusy).toFixed(0)} %`,
]);
const head = [
  "streams",
  "requests/s",
  "tokens/s",
  "µs per token",
  "server CPU, µs per token",
  "TTFT p50, ms",
  "TPOT p50, ms",
  "client busy",
];
for (const row of alignColumns([head, ...rows])) console.log(row);
console.log(`\nThe client alone can receive ${client.summary.outputThroughput.toFixed(0)} tokens/s, from a server with prepared answers.`);
if (flags.out) writeJson(flags.out, result);

/** The median by tokens per second. */
async function measureRepeatedly(url: string, streams: number): Promise<Measurement> {
  const runs: Measurement[] = [];
  for (let i = 0; i < flags.repeats; i++) runs.push(await measure(url, streams));
  return runs.toSorted((a, b) => a.summary.outputThroughput - b.summary.outputThroughput)[Math.floor(runs.length / 2)]!;
}

async function measure(url: string, streams: number): Promise<Measurement> {
  const file = join(folder, "out.json");
  const requests = Math.ceil(Math.max(2 * streams, (flags.seconds * 30_000) / flags.outputTokens));
  const load = ["--requests", String(requests), "--concurrency", String(streams), "--output-tokens", String(flags.outputTokens)];
  const cpuBefore = serverCpuMicroseconds();
  const target = ["--url", url, "--api-key", "key"];
  await promisify(execFile)(process.execPath, [program, "bench", ...target, "--warmup", "0", ...load, "--json", file]);
  const report = JSON.parse(readFileSync(file, "utf8")) as { servers: [{ summary: Summary }]; clientBusy: number };
  const { summary } = report.servers[0];
  const cpuMicrosecondsPerToken = (serverCpuMicroseconds() - cpuBefore) / summary.outputTokens;
  return { streams, summary, cpuMicrosecondsPerToken, clientBusy: report.clientBusy };
}

/** User and system time, fields 14 and 15 of /proc/PID/stat; the name before them may hold blanks. */
function serverCpuMicroseconds(): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * microsecondsPerTick;
}
