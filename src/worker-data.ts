// What the main thread tells the engine's worker thread when it starts it.

export type WorkerData = {
  /** A converted model folder. */
  readonly modelFolder: string;
  readonly device: "cpu" | "cuda";
  readonly threadCount: number;
  readonly slotCount: number;
  readonly slotCapacity: number;
  readonly prefillChunkTokens: number;
  readonly maxWaiting: number;
  readonly imageCacheBytes: number;
};
