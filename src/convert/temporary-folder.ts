// Names of unfinished output folders: they say which process writes them, so that what a killed process left can be told and removed.

import { createHash, randomBytes } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** Nothing writes for so long between two files: a folder untouched since has no process any more. */
const abandonedAfterMs = 24 * 60 * 60 * 1000;

// Process ids mean something on one machine (or in one container) only.
const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

/** A new name beside `target`: `.NAME.partial-HOST-PID-RANDOM`. */
export function temporaryPath(target: string): string {
  return join(dirname(target), `${prefixOf(target)}${host}-${process.pid}-${randomBytes(4).toString("hex")}`);
}

/** Removes unfinished outputs for `target` whose process is gone. */
export function removeLeftovers(target: string): void {
  const parent = dirname(target);
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(prefixOf(target))) continue;
    const [ownerHost, ownerId] = name.slice(prefixOf(target).length).split("-");
    try {
      if (isAbandoned(join(parent, name), ownerHost, Number(ownerId))) rmSync(join(parent, name), { recursive: true, force: true });
    } catch {
      // Another process is removing or finishing it.
    }
  }
}

function prefixOf(target: string): string {
  return `.${basename(target)}.partial-`;
}

function isAbandoned(folder: string, ownerHost: string | undefined, ownerId: number): boolean {
  const changes = [folder, ...readdirSync(folder).map((name) => join(folder, name))].map((path) => statSync(path).mtimeMs);
  if (Date.now() - Math.max(...changes) > abandonedAfterMs) return true;
  if (ownerHost !== host) return false;
  // Containers often give every process the same id: an owner with ours is somebody else when it wrote before we started.
  if (ownerId === process.pid) return Math.max(...changes) < Date.now() - process.uptime() * 1000;
  return !isAlive(ownerId);
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
