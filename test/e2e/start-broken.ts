// Servers that break when told to: `inject-fault.mjs`, loaded before the program, knows how.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../temporary-folder.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const preload = `--import=${fileURLToPath(new URL("inject-fault.mjs", import.meta.url))}`;

/** The environment of a program that gets this signal in the moment it prints this text. */
export function signalWhenPrinted(signal: NodeJS.Signals, text: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: preload, ERNIE_VL_SIGNAL_AT: `${signal}@${text}` };
}

export type BrokenServer = RunningServer & {
  /** From now on, this breaks; nothing if it is empty. */
  breakBy(fault: string): void;
};

/** A server of which a part breaks as told; `inject-fault.mjs` knows how. */
export async function startBroken(
  fault: string,
  args: readonly string[] = [],
  { apiKey = "unused", nodeOptions = "" } = {},
): Promise<BrokenServer> {
  const file = join(temporaryFolder(), "fault");
  const breakBy = (next: string): void => writeFileSync(file, next);
  breakBy(fault);
  const server = await startServer(args, apiKey, { NODE_OPTIONS: `${preload} ${nodeOptions}`, ERNIE_VL_FAULT_FILE: file });
  return { ...server, breakBy };
}
