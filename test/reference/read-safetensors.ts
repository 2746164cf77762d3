// Reads a whole safetensors file into typed arrays: the format of the reference numbers. For tests only.

import { readFileSync } from "node:fs";

type TestTensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

export type TestTensor = {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** BF16 comes widened to Float32Array, BOOL as Uint8Array of 0 and 1. */
  readonly data: TestTensorData;
};

type HeaderEntry = { readonly dtype: string; readonly shape: readonly number[]; readonly data_offsets: readonly [number, number] };

const decoders: Record<string, (buffer: ArrayBuffer) => TestTensorData> = {
  F32: (buffer) => new Float32Array(buffer),
  I32: (buffer) => new Int32Array(buffer),
  I64: (buffer) => new BigInt64Array(buffer),
  U8: (buffer) => new Uint8Array(buffer),
  BOOL: (buffer) => new Uint8Array(buffer),
  BF16: (buffer) => new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer),
};

export function readSafetensors(path: string | URL): Map<string, TestTensor> {
  const file = readFileSync(path);
  const bodyStart = 8 + Number(file.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(file.toString("utf8", 8, bodyStart)) as Record<string, HeaderEntry>;
  const tensors = new Map<string, TestTensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    const decode = decoders[dtype];
    if (!decode) throw new Error(`${name}: expected one of ${Object.keys(decoders).join(", ")}, got ${dtype}`);
    const [start, end] = data_offsets;
    const aligned = new Uint8Array(file.subarray(bodyStart + start, bodyStart + end)).buffer; // offsets need not suit the element size
    tensors.set(name, { dtype, shape, data: decode(aligned) });
  }
  return tensors;
}
