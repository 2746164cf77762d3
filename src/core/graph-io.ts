// Names of graph inputs and outputs, shared by the converter, which writes them, and the model, which binds them.

export const decoderIo = {
  inputIds: "input_ids", // int64 [B, S]
  visionFeatures: "vision_features", // act [V ≥ 1, H]
  visionRow: "vision_row", // int64 [B, S], −1 = none
  positions: "positions", // int64 [3, B, S]
  visionExpert: "vision_expert", // bool [B, S]
  pastKey: (layer: number) => `past_key.${layer}`, // act or int8 [B, kvHeads, C, headDim]
  pastValue: (layer: number) => `past_value.${layer}`,
  presentKey: (layer: number) => `present_key.${layer}`,
  presentValue: (layer: number) => `present_value.${layer}`,
  keyScale: (layer: number) => `key_scale.${layer}`, // float32 [1, kvHeads, 1, headDim], with an int8 cache only
  valueScale: (layer: number) => `value_scale.${layer}`,
  seqlensK: "seqlens_k", // int32 [B]: valid tokens after this step, minus 1
  totalSequenceLength: "total_sequence_length", // int32 []: the longest of them
  logitRows: "logit_rows", // int64 [R]: flattened [B, S] positions whose logits are wanted
  logits: "logits", // float32 [R, vocab]
  chosenExperts: "chosen_experts", // int32 [B · S, layers with experts · k], best first, vision from expertCount on; only where exposed
} as const;

export const visionIo = {
  patches: "patches", // uint8 [F, N, 3 · patchSize²]
  gridPositions: "grid_positions", // int64 [N, 2]: row, column
  framePairs: "frame_pairs", // int64 [P, 2]
  runsLayer: (layer: number) => `runs_layer.${layer}`, // bool [], in host memory: whether this run computes that layer
  hidden: "hidden", // act [F, N, visionWidth]: what the run before left in nextHidden; not read by a run of the first layer
  nextHidden: "next_hidden", // act [F, N, visionWidth]; may be the memory of hidden
  features: "features", // act [P · N / 4, H], of a run of the last layer
} as const;

export const samplerIo = {
  logits: "logits", // float32 [R, vocab]
  inverseTemperature: "inverse_temperature", // float32 [R, 1]
  values: "values", // float32 [R, K]: the K largest scaled logits, descending
  tokenIds: "token_ids", // int64 [R, K]
  logSumExp: "log_sum_exp", // float32 [R, 1], over all scaled logits
} as const;

/** Candidates per row that are copied from device to host, or the whole vocabulary if it is smaller. */
export const samplerCandidates = 256;

/** Extra outputs of a decoder that is built for calibration. */
export const calibrationIo = {
  input: (name: string) => `calibration.${name}`, // act [B, S, width], name and width as convert/calibrated-inputs.ts says
} as const;

/** Extra outputs of graphs that are built for inspection, for stage-by-stage parity. */
export const inspectIo = {
  inputsEmbeds: "inspect.inputs_embeds",
  hidden: (layer: number) => `inspect.hidden.${layer}`,
  routerProbs: (layer: number) => `inspect.router_probs.${layer}`, // [T, 2 · experts]
  routerSelected: (layer: number) => `inspect.router_selected.${layer}`, // int64 [T, k], text 0 …, vision from expertCount
  routerLogits: (layer: number) => `inspect.router_logits.${layer}`, // masked logits as the experts get them
} as const;

/**
 * Graphs of a converted model folder; the weights of `x.onnx` are in `x.onnx.data`. `decoderInt8Cache` is the decoder with an int8 KV
 * cache, over the same weights.
 */
export const graphFiles = {
  decoder: "decoder.onnx",
  decoderInt8Cache: "decoder-int8-cache.onnx",
  vision: "vision.onnx",
  sampler: "sampler.onnx",
} as const;
