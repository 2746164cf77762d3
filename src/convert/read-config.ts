// A checkpoint folder's JSON files → ModelConfig. Sizes come from the files only; values that the program does not support are rejected here.

import { join } from "node:path";
import { z } from "zod";
import type { ImageConfig, ModelConfig } from "../core/model-config.ts";
import { readHubConfig } from "./hub-config.ts";
import { checkSizes } from "./model-sizes.ts";
import { readNativeConfig } from "./native-config.ts";
import { refusePaddleFolder } from "./paddle-format.ts";
import { readProcessorSettings } from "./processor-settings.ts";
import { count, only, positive, readJson, readJsonIfThere, rejectValue } from "../core/read-json.ts";
import { resolveSpecialTokens } from "./special-tokens.ts";

const kind = z.object({
  model_type: z.string().optional(),
  architectures: z.array(z.string()).nullish().catch(undefined),
  text_config: z.unknown().optional(),
});

const modelTypes = ["ernie4_5_moe_vl", "ernie4_5_vl_moe"];
const className = /^Ernie4_5_VL_?Moe(Model|ForConditionalGeneration)$/;

/** Throws a UserError that names file and key when something is missing, inconsistent or not supported. */
export function readModelConfig(folder: string): ModelConfig {
  refusePaddleFolder(folder);
  const path = join(folder, "config.json");
  const { model_type: modelType, architectures, text_config: textConfig } = readJson(path, kind);
  if (!modelTypes.includes(modelType ?? "") && !architectures?.some((name) => className.test(name))) {
    rejectValue(path, "model_type", `${modelTypes.join(" or ")} (this program serves ERNIE-4.5-VL only)`, modelType);
  }
  const isNative = textConfig !== undefined;
  const sizes = isNative ? readNativeConfig(path) : readHubConfig(path);
  checkSizes(path, sizes, isNative ? "text_config." : "");
  return {
    text: sizes.text,
    moe: sizes.moe,
    vision: sizes.vision,
    tokens: resolveSpecialTokens(folder, sizes.tokens, sizes.text.vocabSize),
    image: readImageConfig(folder, sizes.vision),
  };
}

const rgb = z.tuple([z.number(), z.number(), z.number()], "three numbers");
const rescaleFactor = z.number("1/255").refine((factor) => Math.abs(factor * 255 - 1) < 1e-4, "1/255, the only supported value");

const preprocessor = z.object({
  image_processor_type: z.string().nullish(),
  min_pixels: count.nullish(),
  max_pixels: count.nullish(),
  size: z.object({ shortest_edge: count.nullish(), longest_edge: count.nullish() }).nullish(),
  image_mean: rgb.default([0.48145466, 0.4578275, 0.40821073]),
  image_std: z.tuple([positive, positive, positive], "three positive numbers").default([0.26862954, 0.26130258, 0.27577711]),
  do_resize: only(true),
  do_rescale: only(true),
  do_normalize: only(true),
  rescale_factor: rescaleFactor.nullish(),
  resample: only(3),
  patch_size: count.nullish(),
  merge_size: count.nullish(),
});

const processor = z.object({ image_min_pixels: count.nullish(), image_max_pixels: count.nullish() });

/** Baidu's code ignores the size limits in preprocessor_config.json: its processor passes its own limits to its image processor. */
const baidusImageProcessor = "Ernie4_5_VLImageProcessor";

/** Without a file, the published settings apply (model spec, 5). */
function readImageConfig(folder: string, vision: ModelConfig["vision"]): ImageConfig {
  const found = readProcessorSettings(folder, "image_processor", preprocessor);
  const { path, prefix, settings: file } = found ?? { path: folder, prefix: "", settings: preprocessor.parse({}) };
  const reject = (key: string, expected: string, got: unknown) => rejectValue(path, prefix + key, expected, got);
  const { patchSize, mergeSize } = vision;
  if ((file.patch_size ?? patchSize) !== patchSize) reject("patch_size", `${patchSize} as in config.json`, file.patch_size);
  if ((file.merge_size ?? mergeSize) !== mergeSize) reject("merge_size", `${mergeSize} as in config.json`, file.merge_size);
  const tokenPixels = (patchSize * mergeSize) ** 2;
  const [least, most] = file.image_processor_type === baidusImageProcessor ? readProcessorLimits(folder) : fileLimits(file);
  const minPixels = least ?? 4 * tokenPixels;
  const maxPixels = most ?? 6177 * tokenPixels;
  if (minPixels > maxPixels) reject("max_pixels", `at least min_pixels ${minPixels}`, maxPixels);
  return { minPixels, maxPixels, mean: file.image_mean, std: file.image_std };
}

type Limits = readonly [least: number | null | undefined, most: number | null | undefined];

function fileLimits({ min_pixels: least, max_pixels: most, size }: z.output<typeof preprocessor>): Limits {
  return [least ?? size?.shortest_edge, most ?? size?.longest_edge];
}

function readProcessorLimits(folder: string): Limits {
  const limits = readJsonIfThere(join(folder, "processor_config.json"), processor);
  return [limits?.image_min_pixels, limits?.image_max_pixels];
}
