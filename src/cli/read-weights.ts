// Reads the weights from disk in the background. On a CPU they are mapped: the first requests would have to read them, page by page.

import { join } from "node:path";
import type { Logger } from "pino";
import { readSystemFile } from "../core/file-system.ts";
import { readMapped } from "../runtime/read-mapped.ts";
import type { PreparedModel } from "./prepare-model.ts";

/** What takes less was in memory already. */
const worthSayingSeconds = 1;

/** To be called once it is known that the weights fit into memory. Resolves when they are there, or when that cannot be done; never rejects. */
export async function readWeights({ folder, manifest }: PreparedModel, signal: AbortSignal, log: Logger): Promise<void> {
  if (hasSeveralNodes()) return;
  const started = performance.now();
  try {
    for (const name of Object.keys(manifest.files).filter((file) => file.endsWith(".data"))) {
      if (!(await readMapped(join(folder, name), signal))) return;
    }
  } catch (error) {
    log.warn({ err: error }, "the weights cannot be read in advance");
    return;
  }
  const seconds = Number(((performance.now() - started) / 1000).toFixed(1));
  if (seconds >= worthSayingSeconds) log.info({ seconds }, "the weights are in memory");
}

/** One thread would place all weights in the memory of its own socket; the engine's threads place them where they are used. */
export function hasSeveralNodes(): boolean {
  const online = readSystemFile("/sys/devices/system/node/online").trim(); // a kernel without NUMA has none
  return online !== "" && online !== "0";
}
