// How many of the machine's processors this process may use: its affinity (taskset, a container's cpuset) and the CPU quotas of its control
// groups (`docker run --cpus`, Kubernetes limits, systemd's CPUQuota). Node and ONNX Runtime know of the first at most.

import { availableParallelism } from "node:os";
import { controlGroupFolders } from "./control-groups.ts";
import { readSystemFile } from "./file-system.ts";

export type UsableCpus = {
  /** Processors that can be busy at the same time, at least 1. */
  readonly processorCount: number;
  /** The same, but counting physical cores: where memory bandwidth is the limit, the second thread of a core adds nothing. */
  readonly coreCount: number;
  /** Cores of the whole machine. */
  readonly machineCoreCount: number;
  /** What limits this process to fewer processors than the machine has, if anything does. */
  readonly limit: "CPU quota" | "CPU affinity" | undefined;
};

/** `root` is where /proc and /sys lie; for tests. */
export function usableCpus(root = "/"): UsableCpus {
  const allowed = allowedProcessors(root);
  const online = processorList(readSystemFile(root, "sys/devices/system/cpu/online")) ?? allowed;
  // Of those allowed some may not exist. Where a container is shown other numbers than its own, those allowed count.
  const present = allowed.filter((processor) => online.includes(processor));
  const processors = present.length > 0 ? present : allowed;
  const cores = countCores(root, processors);
  const machineCoreCount = Math.max(countCores(root, online), cores);
  // More threads than the quota would be throttled, all of them, for the rest of each period.
  const quota = Math.max(1, Math.floor(cpuQuota(root)));
  return {
    processorCount: Math.min(processors.length, quota),
    coreCount: Math.min(cores, quota),
    machineCoreCount,
    limit: quota < cores ? "CPU quota" : processors.length < online.length ? "CPU affinity" : undefined,
  };
}

function allowedProcessors(root: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readSystemFile(root, "proc/self/status"))?.[1];
  return processorList(list) ?? Array.from({ length: availableParallelism() }, (_, processor) => processor);
}

/** "0-2,8" → [0, 1, 2, 8]; undefined when there are none. */
function processorList(list = ""): number[] | undefined {
  const ranges = [...list.matchAll(/(\d+)(?:-(\d+))?/g)].map(([, first, last = first]) => [Number(first), Number(last)] as const);
  const processors = ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
  return processors.length > 0 ? processors : undefined;
}

/** A processor without topology information counts as a core. */
function countCores(root: string, processors: readonly number[]): number {
  const siblings = (processor: number) =>
    readSystemFile(root, `sys/devices/system/cpu/cpu${processor}/topology/thread_siblings_list`).trim();
  return new Set(processors.map((processor) => siblings(processor) || String(processor))).size;
}

/** CPU quota in processors, possibly fractional: the smallest of all enclosing groups; Infinity without quota. */
function cpuQuota(root: string): number {
  const quotas = controlGroupFolders("cpu", root).map((folder) => {
    const [quota, period] = readSystemFile(folder, "cpu.max").split(" "); // version 2: "400000 100000", "max 100000"
    const [quota1, period1] = [readSystemFile(folder, "cpu.cfs_quota_us"), readSystemFile(folder, "cpu.cfs_period_us")]; // version 1
    return ratio(quota, period) ?? ratio(quota1, period1);
  });
  return Math.min(...quotas.map((quota) => quota ?? Number.POSITIVE_INFINITY));
}

/** Undefined for no quota: "max", -1, or nothing to read. */
function ratio(quota = "", period = ""): number | undefined {
  const value = Number.parseFloat(quota) / Number.parseFloat(period);
  return value > 0 && Number.isFinite(value) ? value : undefined;
}
