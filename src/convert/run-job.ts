// Runs one job of a conversion: reads tensors, computes the bytes and writes them to their places. Runs in any thread.

import { elementCount } from "../core/data-type.ts";
import { assert, UserError } from "../core/errors.ts";
import { FloatOverflow } from "./blocks/weights.ts";
import type { DataFiles } from "./data-files.ts";
import type { Piece, TensorRef } from "./onnx/graph.ts";
import type { Job } from "./plan.ts";
import type { TensorSource } from "./source.ts";

/** Throws a UserError when a tensor cannot be read, when it holds NaN, infinity or a value beyond its new type, or when writing fails. */
export function runJob({ dataFile, piece, targets }: Job, source: TensorSource, files: DataFiles): void {
  const tensors = piece.reads.map((tensor) => readTensor(source, tensor));
  const shares = encode(piece, tensors);
  shares.forEach((bytes, i) => {
    const { offset, byteLength } = targets[i]!;
    assert(bytes.length === byteLength, `${piece.reads[0]?.name} gave ${bytes.length} of ${byteLength} bytes`);
    files.write(dataFile, bytes, offset);
  });
}

function readTensor(source: TensorSource, { name, shape, rows }: TensorRef): Float32Array {
  const rowLength = elementCount(shape.slice(1));
  const values = rows ? source.readRange(name, shape, rows.start * rowLength, rows.count * rowLength) : source.read(name, shape);
  const wrong = indexOfNonFinite(values);
  if (wrong !== undefined) {
    const place = `element ${(rows?.start ?? 0) * rowLength + wrong} of [${shape.join(", ")}]`;
    throw new UserError(`${name}: expected finite numbers, got ${values[wrong]} at ${place}; download the checkpoint again`);
  }
  return values;
}

/** Index of the first NaN or infinity: float32 numbers whose exponent bits are all set. */
function indexOfNonFinite(values: Float32Array): number | undefined {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) if ((words[i]! & 0x7f800000) === 0x7f800000) return i;
  return undefined;
}

function encode(piece: Piece, tensors: readonly Float32Array[]): readonly Uint8Array[] {
  try {
    return piece.encode(tensors);
  } catch (error) {
    if (!(error instanceof FloatOverflow)) throw error;
    const extremes = tensors.map((values) => values.reduce(largerOf, 0));
    const extreme = extremes.reduce(largerOf);
    throw new UserError(
      `${piece.reads[extremes.indexOf(extreme)]!.name}: expected numbers that fit ${error.dtype}, got ${extreme}; ` +
        "convert with --activations bf16 for a GPU, or with --weights fp32 --activations fp32 for a CPU",
      { cause: error },
    );
  }
}

/** The number further from zero. */
function largerOf(a: number, b: number): number {
  return Math.abs(b) > Math.abs(a) ? b : a;
}
