// What a server holds: memory while it works, and what is left when it rests.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mean } from "../../src/loadgen/percentiles.ts";
import { parseMetrics } from "../../test/api/parse-metrics.ts";

export type MemorySample = {
  /** Requests that were over. */
  readonly done: number;
  readonly residentBytes: number;
};

export type Handles = { readonly files: number; readonly sockets: number };

/** Of a process on Linux, as the others here. */
export function residentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1];
  return Number(kibibytes) * 1024;
}

export function openHandles(pid: number): Handles {
  const targets = readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)];
    } catch {
      return []; // closed meanwhile
    }
  });
  return { files: targets.length, sockets: targets.filter((target) => target.startsWith("socket:")).length };
}

const floorCount = 20;

/**
 * By how many bytes memory grows over the samples: the least-squares line through the lowest of each twentieth of them. What a collection
 * is about to free lies above these floors; what is lost raises them.
 */
export function growth(all: readonly MemorySample[]): number {
  const requests = all.at(-1)!.done - all[0]!.done;
  const samples = Array.from({ length: floorCount }, (_, i) => {
    const part = all.slice(Math.floor((i * all.length) / floorCount), Math.floor(((i + 1) * all.length) / floorCount));
    return part.toSorted((a, b) => a.residentBytes - b.residentBytes)[0];
  }).filter((sample) => sample !== undefined);
  const [meanDone, meanBytes] = [mean(samples.map(({ done }) => done)), mean(samples.map((sample) => sample.residentBytes))];
  const covariance = mean(samples.map((sample) => (sample.done - meanDone) * (sample.residentBytes - meanBytes)));
  const variance = mean(samples.map(({ done }) => (done - meanDone) ** 2));
  return variance === 0 ? 0 : (covariance / variance) * requests;
}

/** What is being worked on: all zero when the server rests. */
export async function readWork(url: string) {
  const metric = parseMetrics(await (await fetch(`${url}/metrics`)).text());
  const { running, waiting } = (await (await fetch(`${url}/health`)).json()) as { running: number; waiting: number };
  return {
    running: Math.max(running, metric("ernie_vl_num_requests_running")),
    waiting: Math.max(waiting, metric("ernie_vl_num_requests_waiting")),
    slotsUsed: metric("ernie_vl_slots_used"),
  };
}
