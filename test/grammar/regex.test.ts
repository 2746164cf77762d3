import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { CompiledGrammar } from "../../src/grammar/matcher.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { compile, drawAnswer, endId, tokenizer } from "./nano-vocabulary.ts";

const atoms = fc.constantFrom(
  "a",
  "b",
  "é",
  "🦊",
  "\\.",
  "[ab]",
  "[^a]",
  ".",
  "\\d",
  "\\s",
  "[a-c🦊]",
  "[^\\W\\d]",
  "\\x61",
  "\\u{e9}",
  "\\p{L}",
  "[^\\p{Ll}1]",
);
const quantifiers = fc.constantFrom("", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{3,}", "{2,7}", "{6}", "{5,9}", "*?", "+?");
const patterns = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { depthSize: "small" },
    fc.tuple(atoms, quantifiers).map(([atom, quantifier]) => atom + quantifier),
    fc.array(tie("pattern"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
    fc
      .tuple(fc.array(tie("pattern"), { minLength: 1, maxLength: 3 }), quantifiers)
      .map(([options, quantifier]) => `(${options.join("|")})${quantifier}`),
    fc.tuple(tie("pattern"), quantifiers).map(([inner, quantifier]) => `(?:${inner})${quantifier}`),
  ),
})).pattern;
const texts = fc.string({ unit: fc.constantFrom("a", "b", "c", "é", "🦊", ".", "1", " ", "\n"), maxLength: 14 });

function matches(grammar: CompiledGrammar, text: string): boolean {
  const matcher = new Matcher(grammar);
  return tokenizer.encodeText(text).every((id) => matcher.accept(id)) && matcher.accept(endId);
}

describe("regular expressions", () => {
  it("match what JavaScript's match", () => {
    let [compiled, matched] = [0, 0];
    fc.assert(
      fc.property(patterns, fc.array(texts, { minLength: 5, maxLength: 10 }), fc.nat(), (pattern, candidates, seed) => {
        let grammar;
        try {
          grammar = compile({ type: "regex", pattern, param: "regex" });
        } catch (error) {
          expect(error).toBeInstanceOf(RequestError);
          expect((error as Error).message).toMatch(/may be empty|too ambiguous/);
          return;
        }
        compiled++;
        const reference = new RegExp(`^(?:${pattern})$`, "u");
        for (const text of candidates) {
          const isMatch = reference.test(text);
          if (isMatch) matched++;
          expect(matches(grammar, text), text).toBe(isMatch);
        }
        const answer = drawAnswer(grammar, seed, 30);
        if (answer !== undefined) expect(reference.test(answer), answer).toBe(true);
      }),
      { numRuns: 600, seed: 11 },
    );
    expect(compiled).toBeGreaterThan(500);
    expect(matched).toBeGreaterThan(200);
  });

  it.each([
    ["^a|b$", "a tail", true],
    ["^a|b$", "head b", true],
    ["^a|b$", "head c", false],
    ["(^a$)", "a", true],
    ["(^a$)", "aa", false],
    ["^(a|b$|^c)+$", "aac", false],
    ["^(a|b$|^c)+$", "caab", true],
    ["^(x$|y)*z?$", "yyx", true],
    ["^(x$|y)*z?$", "yyxz", false],
    ["^(?:)$", "", true],
    ["^(?:)$", "x", false],
    ["", "anything", true],
    ["\\/\\-", "a/-b", true],
    ["^\\p{Script=Han}{2}$", "𠮷野", true],
    ["^\\p{Script=Han}{2}$", "の字", false],
    ["^[\\p{L}\\p{N}]+$", "第3章", true],
    ["^[^\\p{P}]+$", "（注）", false],
    ["^\\P{Uppercase_Letter}$", "A", false],
    ['^\\"\\@\\ \\%$', '"@ %', true], // needless escapes, which other dialects write
  ])("in a schema, %s finds its match in %j: %s", (pattern, text, isMatch) => {
    const schema = { type: "string", pattern };
    const grammar = compile({ type: "json_schema", schema, isStrict: true, whitespace: "compact", param: "schema" });

    expect(matches(grammar, JSON.stringify(text))).toBe(isMatch);
  });
});
