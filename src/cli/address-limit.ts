// The limit on addresses (`ulimit -v`), by which some clusters limit memory.

import { readSystemFile } from "../core/file-system.ts";
import { formatBytes } from "../core/format-bytes.ts";

/** A warning about the limit; undefined if there is none, or the system does not tell. `limits` is the text of /proc/self/limits. */
export function limitedAddresses(limits = readSystemFile("/proc/self/limits")): string | undefined {
  const bytes = /^Max address space +(\d+)/m.exec(limits)?.[1];
  if (bytes === undefined) return undefined;
  return `ulimit -v is ${formatBytes(Number(bytes))}: Node reserves many more addresses than it uses memory, and ends when it gets none, even in the middle of answers; use ulimit -v unlimited`;
}
