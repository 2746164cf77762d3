// Quantized rows in the order and width that an operator wants.

import { blockLength, type QuantizedRows } from "./blockwise.ts";

/** Both bits' code for zero, in every place of a byte. */
const zeroCodes = { 4: 0x88, 8: 0x80 } as const;

type RowFormat = {
  readonly bits: 4 | 8;
  readonly columns: number;
  /** Columns of the result: more are zeros. */
  readonly width: number;
};

/** `order`: for each row of the result its number among the rows of all parts, or −1 for zeros. */
export function arrangeRows(parts: readonly QuantizedRows[], order: Int32Array, { bits, columns, width }: RowFormat): QuantizedRows {
  const [blockCount, newBlockCount] = [Math.ceil(columns / blockLength), Math.ceil(width / blockLength)];
  const blockBytes = (blockLength * bits) / 8;
  const rows = parts.flatMap(({ data, scales }) =>
    Array.from({ length: scales.length / blockCount }, (_, row) => ({
      data: data.subarray(row * blockCount * blockBytes, (row + 1) * blockCount * blockBytes),
      scales: scales.subarray(row * blockCount, (row + 1) * blockCount),
    })),
  );
  const out = {
    data: new Uint8Array(order.length * newBlockCount * blockBytes).fill(zeroCodes[bits]),
    scales: new Float32Array(order.length * newBlockCount),
  };
  order.forEach((from, to) => {
    if (from < 0) return;
    out.data.set(rows[from]!.data, to * newBlockCount * blockBytes);
    out.scales.set(rows[from]!.scales, to * newBlockCount);
  });
  return out;
}
