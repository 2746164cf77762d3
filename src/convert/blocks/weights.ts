// Checkpoint tensors → graph weights in the chosen precision. Nothing is read before the graph's data file is written.

import { elementCount, type DataType } from "../../core/data-type.ts";
import { roundToBfloat16, roundToFloat16, toBfloat16, toFloat16 } from "../../core/half.ts";
import { activationDataType, type ConversionSettings, type WeightFormat } from "../../core/manifest.ts";
import type { ModelConfig } from "../../core/model-config.ts";
import type { Graph, Piece, TensorRef, Value } from "../onnx/graph.ts";
import type { QuantizedMatrix } from "../onnx/microsoft-ops.ts";
import {
  blockLength,
  dequantizeBlockwise,
  quantizeBlockwise,
  type QuantizedRows,
  type RoundScale,
  type ScaleRule,
} from "../quantize/blockwise.ts";
import type { ExpertCalibration } from "../quantize/expert-calibration.ts";
import type { LinearCalibration } from "../quantize/linear-calibration.ts";
import type { GateAndUp } from "../quantize/recorded-inputs.ts";

/** The most elements of a matrix in one piece; a thread's memory is a small multiple of it. */
const maxPieceElements = 2 ** 24;

/** What every block of the model needs. */
export type Build = {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** Also output what the parity check compares: embeddings, hidden states, routing, the vision tower's result. */
  readonly inspect: boolean;
  /** Also output what calibration records (calibrated-inputs.ts). */
  readonly probe: boolean;
  /** Called for each layer with the experts of its tokens, int32 [tokens, k], if the graph outputs them. */
  readonly onChosen?: ((chosen: Value) => void) | undefined;
  /** What int4 experts are rounded for; undefined if nothing is computed or there was no calibration run. */
  readonly calibration?: ExpertCalibration | undefined;
};

/** Rows of several checkpoint matrices [rows, columns], one below the other. */
export type MatrixParts = { readonly parts: readonly { readonly name: string; readonly rows: number }[]; readonly columns: number };

/** How a matrix of the decoder is quantized, if it is. */
export type Rounding = {
  readonly bits: 4 | 8;
  /** The matrix's input in a calibration run (calibrated-inputs.ts); undefined if the matrix is not calibrated. */
  readonly input?: string | undefined;
};

export type LinearSource = MatrixParts & Rounding;

/** Rows of a matrix [rows, columns], and how they are made from checkpoint tensors. */
export type RowSource = Pick<Piece, "rows" | "reads"> & { readonly arrange: (tensors: readonly Float32Array[]) => Float32Array };

export class Weights {
  readonly precision: WeightFormat;
  /** Type of activations, norms, scales and unquantized matrices. */
  readonly activation: DataType;

  /** Whether our own operators compute experts, linear layers (both must be quantized) and rotary positions. */
  readonly hasOwnOperators: boolean;

  readonly #scaleRule: ScaleRule;
  readonly #calibration: LinearCalibration | undefined;

  constructor({ weights, activations, experts }: ConversionSettings, scaleRule: ScaleRule = "searched", calibration?: LinearCalibration) {
    this.#scaleRule = scaleRule;
    this.#calibration = calibration;
    this.precision = weights;
    this.hasOwnOperators = experts === "modality-moe" && weights !== "fp32";
    this.activation = activationDataType[activations];
  }

  get isQuantized(): boolean {
    return this.precision !== "fp32";
  }

  /** Bits of a routed expert's weight, if quantized. */
  get expertBits(): 4 | 8 {
    return this.precision === "int8" ? 8 : 4;
  }

  /**
   * Bits of a weight of attention, shared experts and LM head, if quantized. The first layer is never int4, because all other layers would
   * work on its error (docs/quantization.md).
   */
  linearBits(layer: number | "head"): 4 | 8 {
    return this.precision === "int4-all" && layer !== 0 ? 4 : 8;
  }

  /** Type of matrices that no format quantizes: half precision, or float32 if nothing may be rounded. */
  get unquantized(): DataType {
    return this.isQuantized && this.activation === "float32" ? "float16" : this.activation;
  }

  /** A vector (norm weight, bias) in the activation type. */
  vector(g: Graph, label: string, name: string, length: number): Value {
    return this.plain(g, label, this.activation, [length], [wholeTensor({ name, shape: [length] })]);
  }

  /** Unquantized rows in the float type `dtype`. */
  plain(g: Graph, label: string, dtype: DataType, shape: readonly number[], sources: readonly RowSource[]): Value {
    return g.weight(
      label,
      dtype,
      shape,
      sources.map(({ rows, reads, arrange }) => ({
        rows,
        reads,
        encode: (tensors) => [encodeFloats(arrange(tensors), dtype)],
      })),
    );
  }

  /** The embedding table or an unquantized head [rows, columns]. The "plain" rule rounds it to int8 like every other matrix, and stores the rounded values. */
  table(g: Graph, name: string, rows: number, columns: number): Value {
    const shape = [rows, columns];
    const sources = splitRows({ name, shape });
    if (!this.isQuantized || this.#scaleRule === "searched") return this.plain(g, "weight", this.unquantized, shape, sources);
    const rounded = (values: Float32Array) => dequantizeBlockwise(quantizeBlockwise(values, columns, 8), columns, 8);
    const roundedSources = sources.map((source) => ({
      ...source,
      arrange: (tensors: readonly Float32Array[]) => rounded(source.arrange(tensors)),
    }));
    return this.plain(g, "weight", this.unquantized, shape, roundedSources);
  }

  /** [columns, Σ rows], as MatMul needs it. */
  transposedMatrix(g: Graph, { parts, columns }: MatrixParts, dtype: DataType): Value {
    const rowCount = parts.reduce((sum, part) => sum + part.rows, 0);
    const reads = parts.map(({ name, rows }) => ({ name, shape: [rows, columns] }));
    const arrange = (tensors: readonly Float32Array[]) => {
      const out = new Float32Array(columns * rowCount);
      let offset = 0;
      for (const values of tensors) {
        transposeInto(out, offset, rowCount, values, columns);
        offset += values.length / columns;
      }
      return out;
    };
    return this.plain(g, "weight", dtype, [columns, rowCount], [{ rows: columns, reads, arrange }]);
  }

  quantizedMatrix(g: Graph, { parts, columns, bits, input }: LinearSource): QuantizedMatrix {
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    const blocks = Math.ceil(columns / blockLength);
    const sources = parts.flatMap((part) => splitRows({ name: part.name, shape: [part.rows, columns] }));
    const pieces = sources.map((source): Piece => ({
      rows: source.rows,
      reads: source.reads,
      encode: (tensors) => {
        const { data, scales } = this.quantize(source.arrange(tensors), columns, { bits, input }, this.activation);
        return [data, encodeFloats(scales, this.activation)];
      },
    }));
    const values = [
      { name: "quantized", dtype: "uint8" as const, shape: [rows, blocks, (blockLength * bits) / 8] },
      { name: "scales", dtype: this.activation, shape: [rows, blocks] },
    ];
    const [data, scales] = g.weights(values, pieces) as [Value, Value];
    return { bits, rows, columns, data, scales };
  }

  /** Whether the rounding depends on what a calibration run recorded. */
  isCalibrated({ bits, input }: Rounding): boolean {
    return this.#calibration !== undefined && bits === 4 && input !== undefined;
  }

  /** Quantizes values [rows, columns] with scales stored as `scaleType`. With `gatedBy`, gate and up compute their input from `input`. */
  quantize(values: Float32Array, columns: number, rounding: Rounding, scaleType: DataType, gatedBy?: GateAndUp): QuantizedRows {
    const { bits, input } = rounding;
    const roundScale = this.roundScale(scaleType);
    const calibrated = this.isCalibrated(rounding) ? this.#calibration!.quantize(values, columns, roundScale, input!, gatedBy) : undefined;
    return calibrated ?? quantizeBlockwise(values, columns, bits, { roundScale, rule: this.#scaleRule });
  }

  roundScale(scaleType: DataType): RoundScale {
    return scaleRounding[scaleType]!;
  }
}

/** A whole tensor in one piece. */
export function wholeTensor(tensor: TensorRef): RowSource {
  return { rows: tensor.shape[0]!, reads: [tensor], arrange: ([values]) => values! };
}

/** A matrix in pieces of bounded size; the rows of each are a multiple of `multiple`. */
export function splitRows({ name, shape }: TensorRef, multiple = 1): RowSource[] {
  const [rowCount = 0, ...rest] = shape;
  const step = Math.max(1, Math.floor(maxPieceElements / elementCount(rest) / multiple)) * multiple;
  if (step >= rowCount) return [wholeTensor({ name, shape })];
  return Array.from({ length: Math.ceil(rowCount / step) }, (_, i) => {
    const rows = { start: i * step, count: Math.min(step, rowCount - i * step) };
    return { ...wholeTensor({ name, shape, rows }), rows: rows.count };
  });
}

/** A matrix is transposed in squares of this side: source and target of a square fit in the first-level cache. */
const squareLength = 32;

/** Writes values [rows, columns] to columns `offset` … `offset + rows` of out [columns, outWidth]. */
function transposeInto(out: Float32Array, offset: number, outWidth: number, values: Float32Array, columns: number): void {
  const rows = values.length / columns;
  for (let top = 0; top < rows; top += squareLength) {
    const bottom = Math.min(top + squareLength, rows);
    for (let left = 0; left < columns; left += squareLength) {
      const right = Math.min(left + squareLength, columns);
      for (let c = left; c < right; c++) {
        for (let r = top; r < bottom; r++) out[c * outWidth + offset + r] = values[r * columns + c]!;
      }
    }
  }
}

const scaleRounding: Partial<Record<DataType, RoundScale>> = {
  float32: Math.fround,
  float16: roundToFloat16,
  bfloat16: roundToBfloat16,
};

/** A weight or a scale is larger than its type can hold. The code that read the tensors knows which one it came from. */
export class FloatOverflow extends Error {
  readonly dtype: DataType;

  constructor(dtype: DataType) {
    super(`expected numbers that fit ${dtype}, got larger ones`);
    this.dtype = dtype;
  }
}

/** The bytes of float32 values in another float type. Throws FloatOverflow where one would become infinite. */
export function encodeFloats(values: Float32Array, dtype: DataType): Uint8Array {
  const encoded = dtype === "float16" ? toFloat16(values) : dtype === "bfloat16" ? toBfloat16(values) : values;
  const infinity = infinityBits[dtype];
  if (infinity !== undefined && encoded.some((bits) => (bits & infinity) === infinity)) throw new FloatOverflow(dtype);
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}

/** The bits of the exponent, all of which are set in infinity and NaN only. */
const infinityBits: Partial<Record<DataType, number>> = { float16: 0x7c00, bfloat16: 0x7f80 };
