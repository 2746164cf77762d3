// What an operator may ask of memory; loads nothing, so that --help is quick.

import { defaultPrefillChunk } from "./memory-report.ts";

export type MemoryWishes = {
  readonly kvCacheType: KvCacheType;
  /** Share of a GPU's memory that may be in use, that of other processes included. */
  readonly gpuMemoryUtilization: number;
  readonly maxModelLength: number | undefined;
  readonly maxSequences: number | undefined;
  readonly prefillChunkTokens: number;
};

/** "auto": the type of the activations. */
export const kvCacheTypes = ["auto", "int8"] as const;
export type KvCacheType = (typeof kvCacheTypes)[number];

export const defaultMemoryWishes: MemoryWishes = {
  kvCacheType: "auto",
  gpuMemoryUtilization: 0.9,
  maxModelLength: undefined,
  maxSequences: undefined,
  prefillChunkTokens: defaultPrefillChunk,
};
