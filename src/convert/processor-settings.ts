// Finds the settings of pictures and videos: a file each, or both in one, where transformers saves them since its version 5.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "./read-json.ts";

/** The keys inside `processor_config.json`, and the files that do without it. */
const ownFiles = { image_processor: "preprocessor_config.json", video_processor: "video_preprocessor_config.json" };

/** `prefix` leads to the settings in the file. */
type ProcessorSettings<T> = { readonly path: string; readonly prefix: string; readonly settings: T };

/** Undefined if there are none. As in transformers, `processor_config.json` takes precedence. Throws a UserError. */
export function readProcessorSettings<Schema extends z.ZodType>(
  folder: string,
  part: keyof typeof ownFiles,
  schema: Schema,
): ProcessorSettings<z.output<Schema>> | undefined {
  const shared = join(folder, "processor_config.json");
  if (existsSync(shared)) {
    const { [part]: settings } = readJson(shared, z.object({ [part]: schema.nullish() }));
    if (settings) return { path: shared, prefix: `${part}.`, settings };
  }
  const path = join(folder, ownFiles[part]);
  return existsSync(path) ? { path, prefix: "", settings: readJson(path, schema) } : undefined;
}
