import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopStrings } from "../../src/chat/stop-strings.ts";

describe("StopStrings", () => {
  test.each([
    { stops: ["END"], pieces: ["abc", "E", "N", "D", "more"], shown: ["abc", "", "", "", ""] },
    { stops: ["END"], pieces: ["E", "N", "x"], shown: ["", "", "ENx"] },
    { stops: ["aab"], pieces: ["a", "a", "a", "b"], shown: ["", "", "a", ""] },
    { stops: ["\n"], pieces: ["a\nb"], shown: ["a"] },
    { stops: ["abcd", "b"], pieces: ["abcd"], shown: ["a"] },
    { stops: ["b", "abcd"], pieces: ["abcd"], shown: ["a"] },
    { stops: ["b", "ab"], pieces: ["ab"], shown: [""] },
    { stops: ["ab", "b"], pieces: ["ab"], shown: [""] },
    { stops: [], pieces: ["a", "b"], shown: ["a", "b"] },
    { stops: [""], pieces: ["a"], shown: ["a"] },
  ])("shows $shown of $pieces before $stops", ({ stops, pieces, shown }) => {
    const watch = new StopStrings(stops);
    expect(pieces.map((piece) => watch.push(piece))).toEqual(shown);
  });

  test("gives what was held back when the answer ends otherwise", () => {
    const watch = new StopStrings(["END"]);
    expect(watch.push("the EN")).toBe("the ");
    expect(watch.flush()).toBe("EN");
    expect(watch.isStopped).toBe(false);
  });

  test("shows the same however the text is cut, never a stop string, and holds back no more than the beginning of one", () => {
    const letters = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 20 }).map((parts) => parts.join(""));
    const stops = fc.array(
      fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(fc.array(letters), stops, (pieces, stopStrings) => {
        const whole = run([pieces.join("")], stopStrings);
        expect(run(pieces, stopStrings)).toEqual(whole);
        for (const stop of stopStrings) expect(whole.shown).not.toContain(stop);
        expect(whole.isStopped).toBe(stopStrings.some((stop) => pieces.join("").includes(stop)));
        if (whole.match !== undefined) expect(pieces.join("").startsWith(whole.shown + whole.match)).toBe(true);

        const watch = new StopStrings(stopStrings);
        const shown = watch.push(pieces.join(""));
        const held = pieces.join("").slice(shown.length);
        if (!watch.isStopped && held !== "") expect(stopStrings.some((stop) => stop.startsWith(held))).toBe(true);
      }),
    );
  });
});

function run(pieces: readonly string[], stops: readonly string[]) {
  const watch = new StopStrings(stops);
  const shown = pieces.map((piece) => watch.push(piece)).join("") + watch.flush();
  return { shown, isStopped: watch.isStopped, match: watch.match };
}
