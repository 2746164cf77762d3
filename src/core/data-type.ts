// Element types of tensors; the numbers are the same in ONNX files and in ONNX Runtime's C API.

export type DataType = "float32" | "float16" | "bfloat16" | "int32" | "int64" | "uint8" | "int8" | "bool";

export const onnxTypeCode: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

export const elementBytes: Readonly<Record<DataType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  bfloat16: 2,
};

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
