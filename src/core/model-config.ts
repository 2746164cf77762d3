// A checkpoint's configuration. Every model size in the program comes from here.

export type TextConfig = {
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly queryHeadCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  /** Width of the dense MLP of layers without experts. */
  readonly denseWidth: number;
  readonly vocabSize: number;
  readonly rmsEpsilon: number;
  readonly ropeTheta: number;
  /** Frequency pairs owned by height and width (interleaved, the highest frequencies) and by time (the lowest). */
  readonly ropePairs: { readonly height: number; readonly width: number; readonly time: number };
  readonly maxPositions: number;
  readonly tiedEmbedding: boolean;
};

export type MoeConfig = {
  /** Experts of one bank; the text and the vision bank have the same number. */
  readonly expertCount: number;
  readonly textWidth: number;
  readonly visionWidth: number;
  /** Experts chosen for each token. */
  readonly topK: number;
  /** Width of the shared SwiGLU that every token goes through; 0 if there is none. */
  readonly sharedWidth: number;
  /** For each decoder layer: experts (true) or a dense MLP. */
  readonly sparseLayers: readonly boolean[];
  /** Lower bound of the sum that chosen probabilities are divided by. */
  readonly normMin: number;
};

export type VisionConfig = {
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly mlpWidth: number;
  readonly patchSize: number;
  /** Side of the square of patches that becomes one token. */
  readonly mergeSize: number;
  /** Frames of a video that become one token. */
  readonly temporalMergeSize: number;
  readonly layerNormEpsilon: number;
  readonly ropeTheta: number;
};

export type SpecialTokens = {
  readonly bos: number;
  readonly pad: number;
  /** Ids that end an answer. */
  readonly eos: readonly number[];
  readonly image: number;
  /** Same as `image` in Baidu's layout, an id of its own in transformers'. */
  readonly video: number;
  readonly imageStart: number;
  readonly imageEnd: number;
  readonly videoStart: number;
  readonly videoEnd: number;
};

/** How pictures become patches, from the settings of the checkpoint's image processor. */
export type ImageConfig = {
  readonly minPixels: number;
  readonly maxPixels: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
};

export type ModelConfig = {
  readonly text: TextConfig;
  readonly moe: MoeConfig;
  readonly vision: VisionConfig;
  readonly tokens: SpecialTokens;
  readonly image: ImageConfig;
};
