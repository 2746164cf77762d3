// Geometry of the patch grid that pictures are cut into: the sides every ERNIE-4.5-VL checkpoint shares, and the patch order.

/** Side of a patch in pixels. */
export const patchSize = 14;

/** Side, in patches, of the square window that becomes one token. */
export const mergeSize = 2;

/** Side of a merge window in pixels: sides of resized pictures are multiples of it. */
export const windowPixels = patchSize * mergeSize;

/**
 * int64 [patchRows · patchColumns, 2]: (row, column) of each patch of a frame, in merge-window order: windows row by row, and
 * inside a window (0,0) (0,1) (1,0) (1,1). Both counts are even.
 *
 * A 2 × 4 grid gives (0,0) (0,1) (1,0) (1,1) (0,2) (0,3) (1,2) (1,3).
 */
export function gridPositions(patchRows: number, patchColumns: number): BigInt64Array {
  const positions = new BigInt64Array(patchRows * patchColumns * 2);
  let next = 0;
  for (let windowRow = 0; windowRow < patchRows; windowRow += mergeSize) {
    for (let windowColumn = 0; windowColumn < patchColumns; windowColumn += mergeSize) {
      for (let row = windowRow; row < windowRow + mergeSize; row++) {
        for (let column = windowColumn; column < windowColumn + mergeSize; column++) {
          positions[next++] = BigInt(row);
          positions[next++] = BigInt(column);
        }
      }
    }
  }
  return positions;
}
