// The plan of a conversion depends on config and settings alone, so every thread makes its own and gets the same list of jobs.

import { UserError } from "../core/errors.ts";
import { graphFiles } from "../core/graph-io.ts";
import type { ConversionSettings } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { buildDecoder } from "./blocks/decoder.ts";
import { buildSampler } from "./blocks/sampler.ts";
import { buildVision } from "./blocks/vision.ts";
import { Weights } from "./blocks/weights.ts";
import type { Calibration } from "./calibration.ts";
import type { Piece } from "./onnx/graph.ts";
import { encodeModel, externalDataBytes, placePieces, type Region } from "./onnx/model-file.ts";
import { blockLength, type ScaleRule } from "./quantize/blockwise.ts";

export type PlanOptions = {
  readonly config: ModelConfig;
  readonly settings: ConversionSettings;
  /** With the outputs that the parity check compares. */
  readonly inspect: boolean;
  /** With the outputs that calibration records. */
  readonly probe?: boolean | undefined;
  readonly scaleRule?: ScaleRule | undefined;
};

/** One unit of work for one thread: what it reads and computes, and where the results go. */
export type Job = {
  readonly dataFile: string;
  readonly piece: Piece;
  readonly targets: readonly Region[];
  readonly byteLength: number;
};

export type Plan = {
  readonly modelFiles: readonly { readonly name: string; readonly encode: () => Uint8Array }[];
  readonly dataFiles: readonly { readonly name: string; readonly byteLength: number }[];
  /** In the order of the data files. */
  readonly jobs: readonly Job[];
};

/** Throws a UserError when the settings do not support the model's sizes. With `calibration`, the jobs round to int4 for its inputs. */
export function planConversion({ config, settings, inspect, probe = false, scaleRule }: PlanOptions, calibration?: Calibration): Plan {
  refuseUnsuitableSizes(config, settings);
  const build = {
    config,
    weights: new Weights(settings, scaleRule, calibration?.linears),
    inspect,
    probe,
    calibration: calibration?.experts,
  };
  const graphs = [
    { name: graphFiles.decoder, graph: buildDecoder(build) },
    { name: graphFiles.vision, graph: buildVision(build) },
    { name: graphFiles.sampler, graph: buildSampler(config.text.vocabSize, settings.activations === "bf16") },
  ].map(({ name, graph }) => ({ name, graph, dataFile: `${name}.data` }));
  const modelFiles = graphs.map(({ name, graph, dataFile }) => ({ name, encode: () => encodeModel(graph, dataFile, name) }));
  const int8Cache = graphFiles.decoderInt8Cache;
  const encodeInt8Cache = () => encodeModel(buildDecoder(build, { cacheType: "int8" }), `${graphFiles.decoder}.data`, int8Cache);
  return {
    modelFiles: [...modelFiles, { name: int8Cache, encode: encodeInt8Cache }],
    dataFiles: graphs
      .map(({ graph, dataFile }) => ({ name: dataFile, byteLength: externalDataBytes(graph) }))
      .filter(({ byteLength }) => byteLength > 0),
    jobs: graphs.flatMap(({ graph, dataFile }) =>
      placePieces(graph).map(({ piece, targets }) => ({
        dataFile,
        piece,
        targets,
        byteLength: targets.reduce((sum, target) => sum + target.byteLength, 0),
      })),
    ),
  };
}

/** Limits of the ModalityMoe kernels: experts per modality, and experts per token (kernels/ops/modality_moe/modality_moe.h). */
const maxExperts = 128;
const maxTopK = 8;

function refuseUnsuitableSizes({ text, moe }: ModelConfig, { weights, experts }: ConversionSettings): void {
  if (weights !== "fp32" && text.hiddenSize % blockLength !== 0) {
    throw new UserError(
      `${weights} weights need a hidden size that is a multiple of ${blockLength}, but this model's is ${text.hiddenSize}; use --weights fp32`,
    );
  }
  if (experts === "modality-moe" && (moe.expertCount > maxExperts || moe.topK > maxTopK)) {
    throw new UserError(
      `the ModalityMoe kernel supports up to ${maxExperts} experts per modality and ${maxTopK} per token, ` +
        `but this model has ${moe.expertCount} and ${moe.topK}; use --experts onnxruntime`,
    );
  }
}
