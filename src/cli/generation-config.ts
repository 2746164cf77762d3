// The sampling that a model folder recommends; a folder need not.

import { join } from "node:path";
import { z } from "zod";
import type { GenerationDefaults } from "../api/app-options.ts";
import { toGenerationDefaults } from "../api/generation-defaults.ts";
import { readJsonIfThere } from "../core/read-json.ts";

/** Throws a UserError when the file is damaged; values that are out of range count as not given. */
export function readGenerationDefaults(folder: string): GenerationDefaults {
  return toGenerationDefaults(readJsonIfThere(join(folder, "generation_config.json"), z.looseObject({})) ?? {});
}
