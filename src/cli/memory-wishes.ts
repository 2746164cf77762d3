// The memory options and their defaults. Imports nothing, so that --help is quick.

export type MemoryWishes = {
  readonly kvCacheType: KvCacheType;
  /** Share of a GPU's memory that may be in use, that of other processes included. */
  readonly gpuMemoryUtilization: number;
  readonly maxModelLength: number | undefined;
  readonly maxSequences: number | undefined;
  readonly prefillChunkTokens: number | undefined;
};

/** "auto": the type of the activations. */
export const kvCacheTypes = ["auto", "int8"] as const;
export type KvCacheType = (typeof kvCacheTypes)[number];

export const defaultMemoryWishes: MemoryWishes = {
  kvCacheType: "auto",
  gpuMemoryUtilization: 0.9,
  maxModelLength: undefined,
  maxSequences: undefined,
  prefillChunkTokens: undefined,
};

/** Default of --prefill-chunk; the second on a GPU with memory for it. */
export const defaultPrefillChunk = 512;
export const gpuPrefillChunk = 2048;

/** Default of --max-num-seqs; the second on a GPU where sequences share the KV cache's memory. */
export const defaultSequences = 16;
export const defaultGpuSequences = 32;
/** How many finished sequences are kept for a follow-up turn, in addition to the running ones, if there is memory. */
export const spareSlots = 64;
