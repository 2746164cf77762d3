// A second decoder graph over the weights of a converted model, with one more output: the experts that its routers chose. It is built when a
// server with --expose-routing starts, not by conversions.

import { createHash } from "node:crypto";
import { assert, UserError } from "../core/errors.ts";
import { graphFiles } from "../core/graph-io.ts";
import type { Manifest } from "../core/manifest.ts";
import { notComputed } from "../core/routing.ts";
import { buildDecoder, type DecoderVariant } from "./blocks/decoder.ts";
import { Weights } from "./blocks/weights.ts";
import { encodeModel } from "./onnx/model-file.ts";

/**
 * The ONNX model; its weights are those in the folder of the converted model. Throws a UserError when this version lays out weights
 * differently, that is when the same graph without the output is not the one in the folder.
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
      `--expose-routing: expected a model converted by this version, but ${name} is from another; convert the checkpoint again`,
    );
  }
  return encode({ cacheType, exposesRouting: true });
}
