// Models that several jobs of one run use: converted by the first that asks.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convert } from "../../src/convert/convert.ts";
import type { Source } from "../../src/convert/source.ts";
import type { ConversionSettings, Manifest } from "../../src/core/manifest.ts";
import { readManifest } from "../../src/model-folder.ts";
import { programVersion } from "../../src/version.ts";

export type PreparedModel = { readonly folder: string; readonly manifest: Manifest };

/** `label` names the source; `inspect` builds the graphs with the outputs that stages are compared by. */
export async function prepareIn(
  work: string,
  label: string,
  source: Source,
  settings: ConversionSettings,
  inspect = false,
): Promise<PreparedModel> {
  const { weights, activations, experts = "onnxruntime" } = settings;
  const folder = join(work, [label, weights, activations, experts, ...(inspect ? ["inspect"] : [])].join("-"));
  if (!existsSync(folder)) {
    if (source.type === "synthetic" && !inspect) convertSynthetic(source.name, folder, settings);
    else await convert(source, folder, { settings, inspect, programVersion: programVersion() });
  }
  return { folder, manifest: readManifest(folder) };
}

/**
 * Converts a synthetic model with the compiled program in a process of its own: only compiled code has worker threads, without which a
 * large model takes many minutes.
 */
export function convertSynthetic(name: string, folder: string, { weights, activations, experts }: ConversionSettings): void {
  const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
  if (!existsSync(program)) throw new Error("dist/main.js is missing; run npm run build first");
  const choices = ["--weights", weights, "--activations", activations, "--experts", experts ?? "onnxruntime"];
  execFileSync(process.execPath, [program, "convert", "--synthetic", name, "--out", folder, ...choices], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}
