// Runs one soak: sends all kinds of requests and clients to a running server, then checks what is left in it.

import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningServer } from "../../test/e2e/start-server.ts";
import { judge, type Verdict } from "./judge.ts";
import { createRequestMix, type SoakRequest } from "./request-mix.ts";
import { send, type SendOptions } from "./send.ts";
import { type Handles, type MemorySample, openHandles, readWork, residentBytes } from "./server-watch.ts";

export type SoakOptions = {
  readonly requests: number;
  readonly connections: number;
  readonly seed: number;
  readonly deadlineMs: number;
  readonly patienceMs: number;
  readonly onDone?: (done: number) => void;
};

export type SoakReport = {
  /** Verdicts by kind of request. */
  readonly counts: ReadonlyMap<string, Readonly<Record<Verdict | "wrong", number>>>;
  /** One line for each problem. */
  readonly problems: readonly string[];
  readonly memory: readonly MemorySample[];
  readonly handlesBefore: Handles;
  readonly handlesAfter: Handles;
  readonly seconds: number;
};

/** Sent before handles are first counted, because threads and their pipes start with the first requests. */
const warmUpRequests = 48;
/** What lasts longer has been forgotten; on a busy machine, ends take seconds. */
const settleMs = 60_000;

type Tally = { readonly counts: Map<string, Record<Verdict | "wrong", number>>; readonly problems: string[]; done: number };

export async function runSoak(server: RunningServer, options: SoakOptions): Promise<SoakReport> {
  const mix = await createRequestMix(options.seed);
  await load(server.url, mix, "warm-up", { ...options, requests: warmUpRequests, seed: options.seed + 1 });
  await settle(server);
  const handlesBefore = openHandles(server.pid);
  const memory: MemorySample[] = [];
  const tally: Tally = { counts: new Map(), problems: [], done: 0 };
  const sample = (): void => void memory.push({ done: tally.done, residentBytes: residentBytes(server.pid) });
  const sampling = setInterval(sample, 250);
  const start = performance.now();
  await load(server.url, mix, "soak", options, tally);
  const seconds = (performance.now() - start) / 1000;
  clearInterval(sampling);
  tally.problems.push(...(await settle(server)));
  const handlesAfter = await settledHandles(server.pid, handlesBefore);
  if (handlesAfter.sockets > handlesBefore.sockets) {
    tally.problems.push(`${handlesAfter.sockets - handlesBefore.sockets} sockets are still open`);
  }
  tally.problems.push(...readLog(server));
  return { ...tally, memory, handlesBefore, handlesAfter, seconds };
}

/** Each connection takes the next request when its last one is over. */
async function load(url: string, mix: (index: number) => SoakRequest, name: string, options: SoakOptions, tally?: Tally): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < options.requests) {
      const index = next++;
      const request = mix(tally ? index : index + 1_000_000);
      const { deadlineMs, patienceMs } = options;
      const outcome = await ask(request, { url, agent, id: `${name}-${index}`, deadlineMs, patienceMs });
      if (!tally) continue;
      count(tally, request, index, outcome);
      options.onDone?.(tally.done);
    }
  };
  await Promise.all(Array.from({ length: options.connections }, work));
  agent.destroy();
}

async function ask(request: SoakRequest, options: SendOptions): Promise<Verdict | Error> {
  try {
    return judge(request, await send(request, options));
  } catch (error) {
    return error as Error;
  }
}

function count(tally: Tally, { kind, path, behaviour, form }: SoakRequest, index: number, outcome: Verdict | Error): void {
  tally.done++;
  const row = tally.counts.get(kind) ?? { right: 0, left: 0, refused: 0, full: 0, wrong: 0 };
  tally.counts.set(kind, row);
  if (typeof outcome === "string") row[outcome]++;
  else {
    row.wrong++;
    const how = `${kind}, ${path}, ${form.stream ? "stream" : "whole"}, client ${behaviour.type}`;
    tally.problems.push(`request ${index} (${how}): ${outcome.message}`);
  }
}

/** Waits until nothing is computed and no connection is left; what is not so after a while is a problem. */
async function settle(server: RunningServer): Promise<string[]> {
  const end = performance.now() + settleMs;
  for (;;) {
    const left = Object.entries(await readWork(server.url)).filter(([, value]) => value !== 0);
    if (left.length === 0) break;
    if (performance.now() > end) return left.map(([name, value]) => `${name} is ${value} ${settleMs} ms after the load`);
    await sleep(100);
  }
  await sleep(500); // connections that our side has closed
  return [];
}

/** Waits until no more sockets are open than before, but gives up after a while. */
async function settledHandles(pid: number, before: Handles): Promise<Handles> {
  const end = performance.now() + settleMs;
  for (;;) {
    const handles = openHandles(pid);
    if (handles.sockets <= before.sockets || performance.now() > end) return handles;
    await sleep(100);
  }
}

/** One line for each request and none that is about a failure of the server; nothing beside the log. */
function readLog(server: RunningServer): string[] {
  const lines = server.logLines();
  const failures = lines.filter(({ level }) => (level as number) >= 50).map((line) => `the log has ${JSON.stringify(line).slice(0, 500)}`);
  const ends = new Map<unknown, number>();
  for (const line of lines) if (line["totalMs"] !== undefined) ends.set(line["id"], (ends.get(line["id"]) ?? 0) + 1);
  const several = [...ends].filter(([, times]) => times > 1).map(([id, times]) => `${String(id)} has ${times} ends in the log`);
  return [...failures, ...several, ...server.strayLines().map((line) => `beside the log: ${line}`)];
}
