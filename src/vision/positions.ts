// 3-D positions of a prompt by Baidu's rule, which the model was trained with (model spec §5.4). Transformers differs after long videos.

import { spanLength, tokenGrid } from "../core/prompt.ts";

type VisionRun = { readonly type: "vision"; readonly frameCount: number; readonly patchRows: number; readonly patchColumns: number };

/** A stretch of a prompt: text (start and end delimiters of pictures included), or the placeholders of one picture or video. */
export type PromptRun = { readonly type: "text"; readonly length: number } | VisionRun;

type PromptPositions = {
  /** int32 [3, n]: time, height, width */
  readonly positions: Int32Array;
  /** Generated token number k (k = n, n + 1, …) has position k + positionDelta on all three axes. */
  readonly positionDelta: number;
};

/**
 * Text counts up on all three axes at once. A picture at position p fills a box of cells (p + time, p + row, p + column), one token per cell.
 * What follows continues after the largest position used on any axis.
 *
 * 4 text tokens, a picture of 4 × 6 patches, 3 text tokens (T,H,W):
 * (0,0,0) … (3,3,3), (4,4,4) (4,4,5) (4,4,6) (4,5,4) (4,5,5) (4,5,6), (7,7,7) (8,8,8) (9,9,9); positionDelta 10 − 13 = −3.
 */
export function assignPositions(runs: readonly PromptRun[]): PromptPositions {
  const tokenCount = runs.reduce((sum, run) => sum + runLength(run), 0);
  const positions = new Int32Array(3 * tokenCount);
  let token = 0;
  let start = 0;
  const place = (time: number, row: number, column: number) => {
    positions[token] = start + time;
    positions[tokenCount + token] = start + row;
    positions[2 * tokenCount + token] = start + column;
    token++;
  };
  for (const run of runs) {
    if (run.type === "text") {
      for (let i = 0; i < run.length; i++) place(i, i, i);
      start += run.length;
      continue;
    }
    const { times, rows, columns } = tokenGrid(run);
    for (let time = 0; time < times; time++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) place(time, row, column);
      }
    }
    start += Math.max(times, rows, columns);
  }
  return { positions, positionDelta: start - tokenCount };
}

function runLength(run: PromptRun): number {
  return run.type === "text" ? run.length : spanLength(run);
}
