// Checkpoint tensors → graph weights in the chosen precision. Nothing is read before the graph's data file is written.

import { type DataType } from "../../core/data-type.ts";
import { roundToFloat16, toBfloat16, toFloat16 } from "../../core/half.ts";
import { activationDataType, type ActivationFormat, type WeightFormat } from "../../core/manifest.ts";
import type { ModelConfig } from "../../core/model-config.ts";
import type { ByteSink, Graph, Value } from "../onnx/graph.ts";
import { matMulNBits, type QuantizedMatrix } from "../onnx/microsoft-ops.ts";
import { add, cast, matMul } from "../onnx/std-ops.ts";
import { blockLength, quantizeBlockwise } from "../quantize/blockwise.ts";

/** Tensors under the hub's original names, as float32 in the hub's orientation; throws when name or shape is wrong. */
export type TensorReader = { read(name: string, shape: readonly number[]): Float32Array };

/** What every block needs to know. */
export type Build = {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** Also put out what the parity check compares: embeddings, hidden states, routing, the vision tower's result. */
  readonly inspect: boolean;
};

/** Rows of several checkpoint matrices [rows, columns], one below the other. */
export type MatrixParts = { readonly parts: readonly { readonly name: string; readonly rows: number }[]; readonly columns: number };

type QuantizedShape = {
  readonly label: string;
  readonly dataShape: readonly number[];
  readonly scaleShape: readonly number[];
  readonly columns: number;
  readonly bits: 4 | 8;
};

export class Weights {
  readonly precision: WeightFormat;
  /** Type of activations, norms, scales and unquantized matrices. */
  readonly activation: DataType;
  readonly #reader: TensorReader;

  constructor(reader: TensorReader, precision: WeightFormat, activations: ActivationFormat) {
    this.#reader = reader;
    this.precision = precision;
    this.activation = activationDataType[activations];
  }

  get isQuantized(): boolean {
    return this.precision !== "fp32";
  }

  read(name: string, shape: readonly number[]): Float32Array {
    return this.#reader.read(name, shape);
  }

  /** A vector (norm weight, bias) in the activation type. */
  vector(g: Graph, label: string, name: string, length: number): Value {
    return g.weight(label, this.activation, [length], (sink) => sink(encodeFloats(this.read(name, [length]), this.activation)));
  }

  /** A linear layer of the decoder: int8 unless unquantized. x [..., columns] → [..., Σ rows] */
  linear(g: Graph, x: Value, matrix: MatrixParts): Value {
    if (this.isQuantized) return matMulNBits(g, x, this.quantizedMatrix(g, matrix, 8));
    return matMul(g, x, this.transposedMatrix(g, matrix, this.activation));
  }

  /** A linear layer of vision tower or resampler, kept in half precision (float32 when unquantized). */
  visionLinear(g: Graph, x: Value, name: string, rows: number, columns: number, bias: "bias" | "no bias"): Value {
    const stored = this.precision === "fp32" || this.activation !== "float32" ? this.activation : "float16";
    const weight = this.transposedMatrix(g, { parts: [{ name: `${name}.weight`, rows }], columns }, stored);
    const product = matMul(g, x, cast(g, weight, this.activation));
    return bias === "bias" ? add(g, product, this.vector(g, "bias", `${name}.bias`, rows)) : product;
  }

  /** [columns, Σ rows], as MatMul wants it. */
  transposedMatrix(g: Graph, { parts, columns }: MatrixParts, dtype: DataType): Value {
    const rowCount = parts.reduce((sum, part) => sum + part.rows, 0);
    return g.weight("weight", dtype, [columns, rowCount], (sink) => {
      const out = new Float32Array(columns * rowCount);
      let offset = 0;
      for (const { name, rows } of parts) {
        const values = this.read(name, [rows, columns]);
        for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rowCount + offset + r] = values[r * columns + c]!;
        offset += rows;
      }
      sink(encodeFloats(out, dtype));
    });
  }

  quantizedMatrix(g: Graph, { parts, columns }: MatrixParts, bits: 4 | 8): QuantizedMatrix {
    const rows = parts.reduce((sum, part) => sum + part.rows, 0);
    const blocks = Math.ceil(columns / blockLength);
    const [data, scales] = this.quantizedPair(
      g,
      { label: "", dataShape: [rows, blocks, (blockLength * bits) / 8], scaleShape: [rows, blocks], columns, bits },
      (emit) => {
        for (const part of parts) emit(this.read(part.name, [part.rows, columns]));
      },
    );
    return { bits, rows, columns, data, scales };
  }

  /**
   * Codes and scales of the rows that `produce` emits. Both come out of one quantization: the scales wait in memory
   * between the two writes, which follow each other.
   */
  quantizedPair(
    g: Graph,
    { label, dataShape, scaleShape, columns, bits }: QuantizedShape,
    produce: (emit: (rows: Float32Array) => void) => void,
  ): [Value, Value] {
    let pending: Uint8Array[] = [];
    const data = g.weight(`${label}quantized`, "uint8", dataShape, (sink) =>
      produce((rows) => {
        const quantized = quantizeBlockwise(rows, columns, bits, scaleRounding[this.activation]);
        sink(quantized.data);
        pending.push(encodeFloats(quantized.scales, this.activation));
      }),
    );
    const scales = g.weight(`${label}scales`, this.activation, scaleShape, (sink: ByteSink) => {
      for (const chunk of pending) sink(chunk);
      pending = [];
    });
    return [data, scales];
  }
}

const scaleRounding: Partial<Record<DataType, (scale: number) => number>> = {
  float32: Math.fround,
  float16: roundToFloat16,
  bfloat16: (scale) => new Float32Array(Uint32Array.of(toBfloat16(Float32Array.of(scale))[0]! << 16).buffer)[0]!,
};

/** The bytes of float32 values in another float type. */
export function encodeFloats(values: Float32Array, dtype: DataType): Uint8Array {
  const encoded = dtype === "float16" ? toFloat16(values) : dtype === "bfloat16" ? toBfloat16(values) : values;
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}
