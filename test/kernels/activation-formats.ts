// Float32 numbers as the elements of activation tensors, and back.

import { fromFloat16, toBfloat16, toFloat16 } from "../../src/core/half.ts";

export type Activation = "float32" | "float16" | "bfloat16";

export const formats: Record<
  Activation,
  { encode(values: Float32Array): ArrayLike<number>; decode(bits: ArrayLike<number>): Float32Array }
> = {
  float32: { encode: (values) => values, decode: (values) => Float32Array.from(values) },
  float16: { encode: toFloat16, decode: (bits) => fromFloat16(Uint16Array.from(bits)) },
  bfloat16: { encode: toBfloat16, decode: (bits) => new Float32Array(Uint32Array.from(bits, (upper) => upper << 16).buffer) },
};
