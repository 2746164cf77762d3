import { describe, expect, test } from "vitest";
import { arrangeRows } from "../../src/convert/quantize/arrange-rows.ts";
import { dequantizeBlockwise, quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";

/** [rows, columns] */
function rows(first: number, count: number, columns: number): Float32Array {
  return Float32Array.from({ length: count * columns }, (_, i) => first + i);
}

describe.each([4, 8] as const)("quantized rows of %i bits", (bits) => {
  const columns = 40;
  const parts = [rows(1, 2, columns), rows(200, 1, columns)];
  const quantized = parts.map((part) => quantizeBlockwise(part, columns, bits));
  const [[first, second], [third]] = quantized.map((part) => {
    const values = dequantizeBlockwise(part, columns, bits);
    return [values.subarray(0, columns), values.subarray(columns)];
  }) as [[Float32Array, Float32Array], [Float32Array]];

  test("of several matrices come in any order, with rows of zeros between them", () => {
    const arranged = arrangeRows(quantized, Int32Array.of(2, -1, 0, 1, 2), { bits, columns, width: columns });

    const zeros = new Float32Array(columns);
    expect([...dequantizeBlockwise(arranged, columns, bits)]).toEqual([third, zeros, first, second, third].flatMap((row) => [...row]));
  });

  test("become wider with zeros", () => {
    const arranged = arrangeRows(quantized, Int32Array.of(1), { bits, columns, width: 128 });

    expect(arranged).toEqual(quantizeBlockwise(Float32Array.of(...parts[0]!.subarray(columns), ...new Float32Array(88)), 128, bits));
  });
});
