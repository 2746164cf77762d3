// The decoder of a converted model once more, over the same weights, with one more output: the experts that its routers chose. It is made when a
// server starts that shows them; conversions know nothing of it.

import { createHash } from "node:crypto";
import { assert, UserError } from "../core/errors.ts";
import { graphFiles } from "../core/graph-io.ts";
import type { Manifest } from "../core/manifest.ts";
import { notComputed } from "../core/routing.ts";
import { buildDecoder, type DecoderVariant } from "./blocks/decoder.ts";
import { Weights } from "./blocks/weights.ts";
import { encodeModel } from "./onnx/model-file.ts";

/**
 * The ONNX model, whose weights are in the folder of the converted model. Throws UserError when this program would have laid out the weights
 * otherwise: the graph that it makes without the output must be the one that the folder holds.
 */
export function routingDecoder({ config, settings, files }: Manifest, cacheType: "activation" | "int8"): Uint8Array {
  const name = cacheType === "int8" ? graphFiles.decoderInt8Cache : graphFiles.decoder;
  const build = { config, weights: new Weights(settings), inspect: false, probe: false };
  const encode = (variant: DecoderVariant) => encodeModel(buildDecoder(build, variant), `${graphFiles.decoder}.data`, name);
  if (2 * config.moe.expertCount > notComputed) {
    throw new UserError(`--expose-routing: expected at most ${notComputed} experts in a layer, got ${2 * config.moe.expertCount}`);
  }
  const stored = files[name];
  assert(stored, `a model has ${name}`);
  if (createHash("sha256").update(encode({ cacheType })).digest("hex") !== stored.sha256) {
    throw new UserError(
      `--expose-routing: expected a model converted by this version, ${name} is another's; convert it again with ernie-vl convert`,
    );
  }
  return encode({ cacheType, exposesRouting: true });
}
