import { MessageChannel } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import type { OutputConstraint } from "../../src/core/structured-output.ts";
import { BeginningReader } from "../../src/grammar/beginning.ts";
import { GrammarCache, openConstraint } from "../../src/grammar/grammar-service.ts";
import { createMaskMemory } from "../../src/grammar/mask-exchange.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { compile, drawAnswer, tokenizer, vocabulary } from "./nano-vocabulary.ts";

function schemaConstraint(maxLength: number): OutputConstraint {
  const schema = { type: "array", items: { type: "string", maxLength } };
  return { format: { type: "json_schema", schema, isStrict: true, whitespace: "compact", param: "schema" }, followsThinking: false };
}

describe("the cache of grammars", () => {
  it("compiles the same constraint once", () => {
    const cache = new GrammarCache(vocabulary);

    expect(cache.compile(schemaConstraint(9))).toBe(cache.compile(schemaConstraint(9)));
    expect(cache.compile(schemaConstraint(8))).not.toBe(cache.compile(schemaConstraint(9)));
    expect(cache.grammarCount).toBe(2);
  });

  it("forgets the least recently used beyond its count", () => {
    const cache = new GrammarCache(vocabulary, { maxGrammars: 3, maxCacheBytes: 2 ** 28 });
    const first = cache.compile(schemaConstraint(0));
    for (const length of [1, 2]) cache.compile(schemaConstraint(length));

    expect(cache.compile(schemaConstraint(0))).toBe(first);
    cache.compile(schemaConstraint(3));

    expect(cache.grammarCount).toBe(3);
    expect(cache.compile(schemaConstraint(0))).toBe(first);
  });

  it("holds no more than its bytes, however long the answers and many the schemas", () => {
    const maxCacheBytes = 2 ** 20;
    const cache = new GrammarCache(vocabulary, { maxGrammars: 100, maxCacheBytes });
    let most = 0;
    for (let length = 50; length < 90; length++) {
      const grammar = cache.compile(schemaConstraint(length));
      for (let seed = 0; seed < 3; seed++) drawAnswer(grammar, seed, 100);
      most = Math.max(most, grammar.bytes);
    }
    cache.compile(schemaConstraint(1));

    // A grammar may exceed its share by what one token adds.
    expect(most).toBeLessThan(maxCacheBytes / 2);
    expect(cache.bytes).toBeLessThan(maxCacheBytes + maxCacheBytes / 2);
  });

  it("counts the grammars themselves, which may be large before the first answer", () => {
    const cache = new GrammarCache(vocabulary, { maxGrammars: 100, maxCacheBytes: 8 * 2 ** 20 });
    const largeConstraint = (text: string): OutputConstraint => {
      const format = { type: "grammar", ebnf: `root ::= "${text}" ${". ".repeat(500)}`, param: "grammar" } as const;
      return { format, followsThinking: false };
    };
    for (let i = 0; i < 8; i++) cache.compile(largeConstraint(`${i}`));

    expect(cache.grammarCount).toBe(2); // of 9,505 nodes each
  });
});

describe("work", () => {
  it("is bounded between two tokens, not over a whole answer", () => {
    const format: OutputConstraint["format"] = { type: "regex", pattern: "[a-z]{1,60000}[a-z]{1,60000}", param: "regex" };
    const matcher = new Matcher(compile(format));
    const [letter] = tokenizer.encodeText("q");

    for (let count = 0; count < 1_500; count++) {
      matcher.mask();
      if (!matcher.accept(letter!)) throw new Error(`refused after ${count} letters`);
    }
  });

  it("beyond its bound fails the answer with a reason", () => {
    const matcher = new Matcher(compile({ type: "regex", pattern: "((a|b|ab|ba|[a-z]){1,900}){1,900}", param: "regex" }));
    const [letter] = tokenizer.encodeText("q");
    const goOn = (): void => {
      for (let count = 0; count < 1_000; count++) {
        matcher.mask();
        matcher.accept(letter!);
      }
    };

    expect(goOn).toThrow("the grammar is too ambiguous");
  });
});

describe("opening a constraint", () => {
  it("reports a refusal as data, since errors lose their class between threads", () => {
    const { port2 } = new MessageChannel();
    const constraint: OutputConstraint = { format: { type: "choice", texts: [], param: "guided_choice" }, followsThinking: false };
    const answer = openConstraint(new GrammarCache(vocabulary), new BeginningReader(), {
      id: 7,
      constraint,
      port: port2,
      shared: createMaskMemory(2048),
    });

    expect(answer).toMatchObject({ type: "refused", id: 7, options: { status: 400, param: "guided_choice" } });
  });
});
