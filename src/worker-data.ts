// What the main thread tells the engine's worker thread when it starts it.

import type { ErnieModelOptions } from "./model/ernie-model.ts";

export type WorkerData = Omit<ErnieModelOptions, "routingDecoder"> & {
  /** A converted model folder. */
  readonly modelFolder: string;
  readonly device: "cpu" | "cuda";
  readonly maxWaiting: number;
  /** Steps tell which experts they chose; on a CPU only. */
  readonly exposesRouting?: boolean;
};
