// The sampling that a model folder recommends; a folder need not.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { GenerationDefaults } from "../api/app-options.ts";
import { toGenerationDefaults } from "../api/generation-defaults.ts";
import { readJson } from "../convert/read-json.ts";

/** Throws a UserError when the file is damaged; values that are out of range count as not given. */
export function readGenerationDefaults(folder: string): GenerationDefaults {
  const path = join(folder, "generation_config.json");
  return existsSync(path) ? toGenerationDefaults(readJson(path, z.looseObject({}))) : {};
}
