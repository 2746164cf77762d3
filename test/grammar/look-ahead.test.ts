import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { OutputFormat } from "../../src/core/structured-output.ts";
import { type CompiledGrammar, Matcher } from "../../src/grammar/matcher.ts";
import { compile, drawAnswer, endId, tokenizer } from "./nano-vocabulary.ts";

const atoms = fc.constantFrom("a", "b", "🦊", "[ab]", "[^a]", ".", "^", "$", "[^]");
const quantifiers = fc.constantFrom("", "", "", "*", "+", "?", "{2}", "{1,3}", "{2,}");
const isAnchor = (text: string) => text === "^" || text === "$";
const patterns = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { depthSize: "small" },
    fc.tuple(atoms, quantifiers).map(([atom, quantifier]) => (isAnchor(atom) ? atom : atom + quantifier)),
    fc.array(tie("pattern"), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("")),
    fc
      .tuple(fc.array(tie("pattern"), { minLength: 1, maxLength: 3 }), quantifiers)
      .map(([options, quantifier]) => `(${options.join("|")})${quantifier}`),
    fc.tuple(fc.constantFrom("(?=", "(?!"), tie("pattern")).map(([open, inner]) => `${open}${inner})`),
    fc.tuple(fc.constantFrom("(?=", "(?!"), tie("pattern"), tie("pattern")).map(([open, inner, rest]) => `${open}${inner})${rest}`),
  ),
})).pattern;
const texts = fc.string({ unit: fc.constantFrom("a", "b", "a", "b", "🦊", "\n"), maxLength: 7 });

function matches(grammar: CompiledGrammar, text: string): boolean {
  const matcher = new Matcher(grammar);
  return tokenizer.encodeText(text).every((id) => matcher.accept(id)) && matcher.accept(endId);
}

function schemaFormat(schema: Readonly<Record<string, unknown>>): OutputFormat {
  return { type: "json_schema", schema: { type: "string", ...schema }, isStrict: true, whitespace: "compact", param: "schema" };
}

/** Undefined if no text matches. */
function compilePossible(format: OutputFormat): CompiledGrammar | undefined {
  try {
    return compile(format);
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    expect((error as Error).message).toMatch(/contradicts itself/);
    return undefined;
  }
}

describe("two patterns of one string", () => {
  it("match what both of JavaScript's match", () => {
    const counts = { possible: 0, matched: 0 };
    // Look-aheads are tested below.
    const plain = patterns.filter((pattern) => !/\(\?[=!]/.test(pattern));
    const property = (pair: readonly [string, string], candidates: readonly string[], seed: number): void => {
      const grammar = compilePossible(schemaFormat({ allOf: pair.map((pattern) => ({ pattern })) }));
      const references = pair.map((pattern) => new RegExp(`^[^]*?(?:${pattern})`, "u"));
      const isExpected = (text: string) => references.every((reference) => reference.test(text));

      if (grammar) counts.possible++;
      for (const text of candidates) {
        if (isExpected(text)) counts.matched++;
        expect(grammar !== undefined && matches(grammar, JSON.stringify(text)), JSON.stringify(text)).toBe(isExpected(text));
      }
      const answer = grammar && drawAnswer(grammar, seed, 30);
      if (answer !== undefined) expect(isExpected(JSON.parse(answer) as string), answer).toBe(true);
    };
    fc.assert(fc.property(fc.tuple(plain, plain), fc.array(texts, { minLength: 10, maxLength: 20 }), fc.nat(), property), {
      numRuns: 300,
      seed: 6,
    });
    expect(counts.possible).toBeGreaterThan(100);
    expect(counts.matched).toBeGreaterThan(300);
  });
});

describe("random look-aheads", () => {
  it.each(["regular expression", "schema", "schema with lengths"])("of a %s match what JavaScript's match", (kind) => {
    const counts = { possible: 0, impossible: 0, matched: 0 };
    const property = (pattern: string, candidates: readonly string[], seed: number): void => {
      fc.pre(/\(\?[=!]/.test(pattern));
      const isWhole = kind === "regular expression";
      const lengths = { min: seed % 4, max: 2 + (seed % 5) };
      const bounds = kind === "schema with lengths" ? { minLength: lengths.min, maxLength: lengths.max } : {};
      const grammar = compilePossible(isWhole ? { type: "regex", pattern, param: "regex" } : schemaFormat({ pattern, ...bounds }));
      // Written out, because V8 also searches between the halves of a surrogate pair.
      const reference = new RegExp(isWhole ? `^(?:${pattern})$` : `^[^]*?(?:${pattern})`, "u");
      const isExpected = (text: string) =>
        reference.test(text) && (kind !== "schema with lengths" || ([...text].length >= lengths.min && [...text].length <= lengths.max));

      counts[grammar ? "possible" : "impossible"]++;
      for (const text of candidates) {
        if (isExpected(text)) counts.matched++;
        expect(grammar !== undefined && matches(grammar, isWhole ? text : JSON.stringify(text)), JSON.stringify(text)).toBe(
          isExpected(text),
        );
      }
      const answer = grammar && drawAnswer(grammar, seed, 30);
      if (answer !== undefined) expect(isExpected(isWhole ? answer : JSON.parse(answer)), answer).toBe(true);
    };
    fc.assert(fc.property(patterns, fc.array(texts, { minLength: 10, maxLength: 20 }), fc.nat(), property), { numRuns: 500, seed: 5 });
    expect(counts.possible).toBeGreaterThan(200);
    expect(counts.impossible).toBeGreaterThan(100);
    expect(counts.matched).toBeGreaterThan(500);
  });
});
