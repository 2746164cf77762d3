// A valid manifest of no real model.

import { manifestFormat, manifestFormatVersion, onnxRuntimeVersion, type Manifest } from "../../src/core/manifest.ts";

export function makeManifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    format: manifestFormat,
    formatVersion: manifestFormatVersion,
    createdBy: "0.0.1",
    onnxruntime: onnxRuntimeVersion,
    source: { name: "tiny", layout: "hub", files: { "model.safetensors": { bytes: 1 } } },
    settings: { weights: "int4", activations: "fp32" },
    config: {
      text: {
        hiddenSize: 16,
        layerCount: 2,
        queryHeadCount: 2,
        kvHeadCount: 1,
        headDim: 8,
        denseWidth: 24,
        vocabSize: 40,
        rmsEpsilon: 1e-5,
        ropeTheta: 500_000,
        ropePairs: { height: 1, width: 1, time: 2 },
        maxPositions: 64,
        tiedEmbedding: true,
      },
      moe: { expertCount: 4, textWidth: 4, visionWidth: 2, topK: 2, sharedWidth: 8, sparseLayers: [false, true], normMin: 1e-12 },
      vision: {
        hiddenSize: 8,
        layerCount: 1,
        headCount: 2,
        mlpWidth: 16,
        patchSize: 2,
        mergeSize: 2,
        temporalMergeSize: 2,
        layerNormEpsilon: 1e-6,
        ropeTheta: 10_000,
      },
      tokens: { bos: 1, pad: 0, eos: [2], image: 10, video: 10, imageStart: 11, imageEnd: 12, videoStart: 13, videoEnd: 14 },
      image: { minPixels: 64, maxPixels: 4096, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    },
    files: {},
    ...changes,
  };
}
