import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseJson } from "../../src/core/parse-json.ts";

const nested = (depth: number, inner = "") => `${"[".repeat(depth)}${inner}${"]".repeat(depth)}`;

test.each([
  ["1,001 levels", nested(1001)],
  ["more levels than the stack holds", `{"a":${nested(200_000)}}`],
  ["levels without end", "[".repeat(2 ** 20)],
  ["levels behind a string that ends in a backslash", `["\\\\",${nested(1001)}]`],
])("%s are refused", (_, text) => {
  expect(parseJson(text)).toBeUndefined();
});

test.each([
  ["1,000 levels", nested(1000)],
  ["many values side by side", `[${"[],{},".repeat(2000)}1]`],
  ["brackets in strings", JSON.stringify(["[".repeat(5000), `\\"${"{".repeat(5000)}`, '"'])],
])("%s are read", (_, text) => {
  expect(JSON.stringify(parseJson(text))).toBe(text);
});

test("any JSON is read", () => {
  const padding = " ".repeat(1001); // short texts are not looked through
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(parseJson(text + padding)).toEqual(JSON.parse(text));
    }),
  );
});
