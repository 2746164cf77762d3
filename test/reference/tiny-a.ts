// What transformers computes for a tiny model of random weights. It lies beside the repository; a clone without it skips the tests that need it.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readReference, type ReferenceFolder } from "../../scripts/parity/reference-case.ts";
import type { PixelLimits } from "../../src/vision/smart-resize.ts";

/** The folder with the model in both layouts, the cases and their pictures. */
export const tinyA = fileURLToPath(new URL("../../../shared/reference/tiny-a", import.meta.url));
export const hasTinyA = existsSync(tinyA);

const reference: ReferenceFolder = hasTinyA ? readReference(tinyA) : { cases: [], preprocessing: { min_pixels: 0, max_pixels: 0 } };
/** None without the folder. */
export const tinyACases = reference.cases;
export const tinyAPixelLimits: PixelLimits = {
  minPixels: reference.preprocessing.min_pixels,
  maxPixels: reference.preprocessing.max_pixels,
};
