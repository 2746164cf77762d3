// Models that several jobs of one run use: converted by the first that asks.

import { existsSync } from "node:fs";
import { join } from "node:path";
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
  if (!existsSync(folder)) await convert(source, folder, { settings, inspect, programVersion: programVersion() });
  return { folder, manifest: readManifest(folder) };
}
