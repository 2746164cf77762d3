import { describe, expect, test } from "vitest";
import { commonPrefixLength, type SlotContent } from "../../src/engine/prefix-match.ts";
import { makePrompt } from "./fake-model.ts";

function makeContent(content: readonly (number | string)[], cacheSalt?: string): SlotContent {
  const { tokenIds, visionExpert, spans } = makePrompt(content);
  return { tokenIds, visionExpert, spans: spans.map(({ start, length, image }) => ({ start, length, hash: image.hash })), cacheSalt };
}

describe("the common prefix of two contents", () => {
  test.each([
    ["equal texts", [1, 2, 3], [1, 2, 3], 3],
    ["a continuation", [1, 2], [1, 2, 3], 2],
    ["another token", [1, 2, 3], [1, 9, 3], 1],
    ["nothing", [], [1], 0],
    ["the same picture", [1, "cat", 2], [1, "cat", 3], 4],
    ["another picture in the same place", [1, "cat", 2], [1, "dog", 2], 1],
    ["a second picture that differs", [1, "cat", "dog"], [1, "cat", "cow"], 4],
    ["a picture later in one of them only", [1, 2, 3], [1, 2, "cat"], 2],
    ["the same picture elsewhere", [1, 2, "cat"], [1, "cat", 2], 1],
  ] as const)("%s", (_, a, b, length) => {
    expect(commonPrefixLength(makeContent(a), makeContent(b))).toBe(length);
    expect(commonPrefixLength(makeContent(b), makeContent(a))).toBe(length);
  });

  test("ends inside a picture when one side holds only a part of it", () => {
    const whole = makeContent([1, "cat", 2]);
    expect(commonPrefixLength(whole, { ...whole, tokenIds: whole.tokenIds.subarray(0, 3) })).toBe(3);
  });

  test("ends where another expert bank serves the token", () => {
    const content = makeContent([1, 2, 3]);
    expect(commonPrefixLength(content, { ...content, visionExpert: Uint8Array.of(0, 0, 1) })).toBe(2);
  });

  test("counts tokens beyond the prompt as text", () => {
    const content = makeContent([1, 2, 3]);
    expect(commonPrefixLength(content, { ...content, visionExpert: Uint8Array.of(0) })).toBe(3);
  });

  test("is empty when the salts differ", () => {
    expect(commonPrefixLength(makeContent([1, 2], "a"), makeContent([1, 2], "b"))).toBe(0);
    expect(commonPrefixLength(makeContent([1, 2], "a"), makeContent([1, 2]))).toBe(0);
    expect(commonPrefixLength(makeContent([1, 2], "a"), makeContent([1, 2], "a"))).toBe(2);
  });
});
