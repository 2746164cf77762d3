// How much memory is available to this process, respecting the limit of a container.

import { freemem, totalmem } from "node:os";
import { controlGroupFolders } from "../core/control-groups.ts";
import { readSystemFile } from "../core/file-system.ts";

export type HostMemory = {
  readonly totalBytes: number;
  /** Of the whole machine, including reclaimable file pages. */
  readonly availableBytes: number;
  /** Of the container; 0 or more than the total if there is no limit. */
  readonly limitBytes: number;
  /** What is left of the limit, counting file pages as used. */
  readonly leftBytes: number;
  /** The container's memory.stat, or "". */
  readonly statistics: string;
};

export type AvailableMemory = {
  readonly bytes: number;
  /** The container's limit, if that is why there is no more. */
  readonly limitBytes: number | undefined;
};

export function availableMemory(host: HostMemory = thisHost()): AvailableMemory {
  const { totalBytes, availableBytes, limitBytes, leftBytes, statistics } = host;
  const ofMachine = { bytes: availableBytes, limitBytes: undefined };
  if (limitBytes === 0 || limitBytes > totalBytes) return ofMachine;
  // File pages, such as those of freshly converted or mapped weights, count towards the limit but are reclaimed when memory is short.
  const fileBytes = [...statistics.matchAll(/^(?:in)?active_file (\d+)$/gm)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  return availableBytes <= leftBytes + fileBytes ? ofMachine : { bytes: leftBytes + fileBytes, limitBytes };
}

function thisHost(): HostMemory {
  const texts = controlGroupFolders("memory").map((folder) => readSystemFile(folder, "memory.stat"));
  return {
    totalBytes: totalmem(),
    availableBytes: freemem(),
    limitBytes: process.constrainedMemory(),
    leftBytes: process.availableMemory(),
    statistics: texts.find((text) => text !== "") ?? "",
  };
}
