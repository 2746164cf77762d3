import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { spanLength } from "../../src/core/prompt.ts";
import { assignPositions, type PromptRun } from "../../src/vision/positions.ts";

const text = (length: number): PromptRun => ({ type: "text", length });
const vision = (frameCount: number, patchRows: number, patchColumns: number): PromptRun => ({
  type: "vision",
  frameCount,
  patchRows,
  patchColumns,
});

/** One "t,h,w" for each token. */
function triples(runs: readonly PromptRun[]): string {
  const { positions } = assignPositions(runs);
  const count = positions.length / 3;
  return Array.from({ length: count }, (_, i) => [0, 1, 2].map((axis) => positions[axis * count + i]).join(",")).join(" ");
}

describe("assignPositions", () => {
  test("counts text up on all axes", () => {
    expect(triples([text(2), text(1)])).toBe("0,0,0 1,1,1 2,2,2");
    expect(assignPositions([text(3)]).positionDelta).toBe(0);
  });

  test("spreads a picture over rows and columns and goes on after its largest position", () => {
    const runs = [text(4), vision(1, 4, 6), text(3)];

    expect(triples(runs)).toBe("0,0,0 1,1,1 2,2,2 3,3,3 4,4,4 4,4,5 4,4,6 4,5,4 4,5,5 4,5,6 7,7,7 8,8,8 9,9,9");
    expect(assignPositions(runs).positionDelta).toBe(-3);
  });

  test("advances time once for two frames, and goes on after the time when that is longest", () => {
    const runs = [text(1), vision(6, 4, 2), text(1)];

    expect(triples(runs)).toBe("0,0,0 1,1,1 1,2,1 2,1,1 2,2,1 3,1,1 3,2,1 4,4,4");
    expect(assignPositions(runs).positionDelta).toBe(5 - 8);
  });

  test("gives an empty prompt no positions", () => {
    expect(assignPositions([])).toEqual({ positions: new Int32Array(0), positionDelta: 0 });
  });

  test("places every token and lets the answer go on one after the largest position", () => {
    const even = fc.integer({ min: 1, max: 6 }).map((half) => 2 * half);
    const run = fc.oneof(
      fc.integer({ min: 1, max: 9 }).map(text),
      fc.tuple(fc.oneof(fc.constant(1), even), even, even).map((v) => vision(...v)),
    );
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 6 }), (runs) => {
        const { positions, positionDelta } = assignPositions(runs);

        const tokenCount = runs.reduce((sum, item) => sum + (item.type === "text" ? item.length : spanLength(item)), 0);
        expect(positions.length).toBe(3 * tokenCount);
        expect(tokenCount + positionDelta).toBe(Math.max(...positions) + 1);
      }),
    );
  });
});
