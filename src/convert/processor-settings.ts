// Finds the settings of pictures and videos: a file each, or both in one, where transformers saves them since its version 5.

import { join } from "node:path";
import { z } from "zod";
import { readJsonIfThere } from "../core/read-json.ts";

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
  const inShared = readJsonIfThere(shared, z.object({ [part]: schema.nullish() }))?.[part];
  if (inShared) return { path: shared, prefix: `${part}.`, settings: inShared };
  const path = join(folder, ownFiles[part]);
  const settings = readJsonIfThere(path, schema);
  return settings === undefined ? undefined : { path, prefix: "", settings };
}
