// A model argument → a converted model folder: checkpoints are converted once, into a cache, with a progress bar.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { SingleBar } from "cli-progress";
import { cacheFolderFor } from "../convert/conversion-cache.ts";
import { convertCheckpoint, type ConvertOptions } from "../convert/convert.ts";
import { UserError } from "../core/errors.ts";
import type { ConversionSettings, Manifest } from "../core/manifest.ts";
import { classifyFolder, readManifest } from "../model-folder.ts";
import { converterFingerprint, programVersion } from "../version.ts";
import { formatBytes } from "./options.ts";

export type PreparedModel = { readonly folder: string; readonly manifest: Manifest };

/** Converts `folder` if it is a checkpoint that has not been converted with these settings yet. */
export async function prepareModel(folder: string, settings: ConversionSettings, say: (line: string) => void): Promise<PreparedModel> {
  const path = resolve(folder);
  if (classifyFolder(path) === "converted") return { folder: path, manifest: readManifest(path) };
  const cached = cacheFolderFor(path, settings, converterFingerprint());
  const known = readCached(cached, say);
  if (known) return { folder: cached, manifest: known };
  await convertWithProgress(path, cached, { settings, programVersion: programVersion(), overwrite: true }, say);
  return { folder: cached, manifest: readManifest(cached) };
}

/** Undefined when there is nothing usable; a damaged conversion is made again. */
function readCached(folder: string, say: (line: string) => void): Manifest | undefined {
  if (!existsSync(folder)) return undefined;
  try {
    return readManifest(folder);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`The cached conversion is damaged (${error.message})`);
    return undefined;
  }
}

/** Converts with a progress bar on a terminal; Ctrl-C leaves nothing half-written. */
export async function convertWithProgress(
  checkpoint: string,
  target: string,
  options: ConvertOptions,
  say: (line: string) => void,
): Promise<void> {
  if (classifyFolder(checkpoint) === "converted") {
    throw new UserError(`${checkpoint} is converted already; give the Hugging Face checkpoint it came from`);
  }
  const { weights, activations } = options.settings;
  say(`Converting ${checkpoint} (${weights} weights, ${activations} activations) to ${target}`);
  const abort = new AbortController();
  const stop = () => abort.abort(new UserError("conversion stopped; nothing was written"));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const bar = new SingleBar({
    format: "  {bar} {percentage}%  {done} of {all}  {eta_formatted} left",
    barsize: 30,
    hideCursor: true,
    noTTYOutput: false,
  });
  const started = Date.now();
  let total = 0;
  try {
    const onProgress = (done: number, all: number) => {
      const shown = { done: formatBytes(done), all: formatBytes(all) };
      if (total === 0) bar.start(all, 0, shown);
      total = all;
      bar.update(done, shown);
    };
    const notes = await convertCheckpoint(checkpoint, target, { ...options, onProgress, signal: abort.signal });
    bar.stop();
    for (const note of notes) say(`  note: ${note}`);
    say(`Converted in ${((Date.now() - started) / 1000).toFixed(1)} s, ${formatBytes(total)} of weights`);
  } finally {
    bar.stop();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
