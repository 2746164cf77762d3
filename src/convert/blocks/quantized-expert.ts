// One routed expert as one piece of work: gate, up and down are read once and rounded for the inputs that each will see.

import type { Piece, TensorRef } from "../onnx/graph.ts";
import { gatedImportance, normedImportance } from "../quantize/importance.ts";
import type { RowSource } from "./weights.ts";

export type ExpertSources = {
  /** Reads gate_proj, up_proj. */
  readonly gateUp: RowSource;
  /** Reads down_proj. */
  readonly down: RowSource;
  /** γ [hidden] of the norm in front of the experts. */
  readonly norm: TensorRef;
  /** Columns of down, with padding. */
  readonly width: number;
};

/** Quantizes a matrix [rows, columns] and returns the bytes of its codes and of its scales. */
export type EncodeMatrix = (values: Float32Array, columns: number, importance: Float64Array) => [Uint8Array, Uint8Array];

/** Gives codes and scales of gate and up, then of down: a share of four weights [experts, …]. */
export function quantizedExpert({ gateUp, down, norm, width }: ExpertSources, encodeMatrix: EncodeMatrix): Piece {
  return {
    rows: 1,
    reads: [...gateUp.reads, ...down.reads, norm],
    encode: (tensors) => {
      const [gate, up, downWeight, gamma] = tensors as [Float32Array, Float32Array, Float32Array, Float32Array];
      const input = normedImportance(gamma);
      return [
        ...encodeMatrix(gateUp.arrange([gate, up]), input.length, input),
        ...encodeMatrix(down.arrange([downWeight]), width, gatedImportance(gate, up, input, width)),
      ];
    },
  };
}
