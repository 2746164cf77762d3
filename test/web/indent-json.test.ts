// JSON is indented as JSON.stringify does it, and stays what it was.

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { indentJson } from "../../web/chat/indent-json.ts";

describe("indented JSON", () => {
  test("is that of JSON.stringify", () => {
    const container = fc.json({ maxDepth: 4 }).filter((text) => /^\s*[{[]/.test(text));

    fc.assert(
      fc.property(container, (text) => {
        expect(indentJson(text)).toBe(JSON.stringify(JSON.parse(text), null, 2));
      }),
    );
  });

  test.each([
    ["large and precise numbers", '{"a":12345678901234567890,"b":1.50}', '{\n  "a": 12345678901234567890,\n  "b": 1.50\n}'],
    ["escapes", '["\\u00e9 \\" ,"]', '[\n  "\\u00e9 \\" ,"\n]'],
    ["names that come twice", '{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'],
    ["what is not whole yet", '{"a":["b, c', '{\n  "a": [\n    "b, c'],
    ["what is no object", '"a,  b"', '"a,  b"'],
    ["nothing", "", ""],
  ])("keeps %s", (_, text, expected) => {
    expect(indentJson(text)).toBe(expected);
  });

  test("of a model that opens brackets without end stays small", () => {
    expect(indentJson("[".repeat(20_000)).length).toBeLessThan(2_000_000);
  });
});
