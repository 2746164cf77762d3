import { once } from "node:events";
import { MessageChannel } from "node:worker_threads";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import type { OutputFormat, TextFormat } from "../../src/core/structured-output.ts";
import { BeginningReader, untilRead } from "../../src/grammar/beginning.ts";
import { createMaskMemory, RemoteMatcher, serveMatcher } from "../../src/grammar/mask-exchange.ts";
import { type CompiledGrammar, Matcher } from "../../src/grammar/matcher.ts";
import { Reading } from "../../src/grammar/reading.ts";
import { accepts, allowedTokens, compile, drawAnswer, endId, tokenizer } from "./nano-vocabulary.ts";
import { schemas } from "./random-schemas.ts";

const ajv = new Ajv2020({ strict: false, ownProperties: true });
addFormats.default(ajv);

const json: TextFormat = { type: "json_object", whitespace: "flexible" };
const person: TextFormat = {
  type: "json_schema",
  schema: {
    type: "object",
    properties: { name: { type: "string", maxLength: 20 }, ages: { type: "array", items: { type: "integer" }, maxItems: 9 } },
    required: ["name", "ages"],
  },
  isStrict: true,
  whitespace: "flexible",
  param: "schema",
};
const tools = [{ name: "find", parameters: { type: "object", properties: { a: { type: "null" } } }, isStrict: true, param: "tools[0]" }];
const calls = { type: "tool_calls", tools, maxCalls: 1 } as const;
const formats: Readonly<Record<string, OutputFormat>> = {
  json,
  person,
  regex: { type: "regex", pattern: "\\+?[0-9]{2,4}( [0-9]{2,3}){1,3}|(?!é|x)[é-ü🦊-🦎x]{2,40}", param: "regex" },
  choice: { type: "choice", texts: ["yes", "no", "not sure", "不知道"], param: "choice" },
  sums: { type: "grammar", ebnf: 'root ::= term ("+" term)*\nterm ::= [1-9] [0-9]{0,2} | "(" root ")"', param: "grammar" },
  "text or calls": { ...calls, isRequired: false },
  "a form or calls": { ...calls, isRequired: false, otherwise: person },
};

function read(grammar: CompiledGrammar, text: string, start = 0) {
  const reading = new Reading(grammar, { text, param: "messages[1]" }, start);
  while (!reading.isWhole) reading.advance(Infinity);
  return reading.state;
}

/** The beginnings of a text, cut between any two characters. */
const beginnings = (text: string) =>
  Array.from(text, (_, i) =>
    Array.from(text)
      .slice(0, i + 1)
      .join(""),
  );

/** Answers without calls, because calls are control tokens and a beginning is text. */
function drawTexts(grammar: CompiledGrammar, count: number): string[] {
  const drawn = Array.from({ length: count }, (_, seed) => drawAnswer(grammar, seed, 60));
  return drawn.filter((text) => text !== undefined && !text.includes("<tool_call>")) as string[];
}

describe("an answer that is cut anywhere", () => {
  it.each(Object.entries(formats))("%s: goes on to one of its form", (_, format) => {
    const grammar = compile(format);
    let goneOn = 0;
    for (const [i, text] of drawTexts(grammar, 9).entries()) {
      for (const begun of beginnings(text)) {
        const rest = drawAnswer(grammar, i, 60, read(grammar, begun));
        if (rest === undefined || rest.includes("<tool_call>")) continue;
        expect(accepts(format, begun + rest), begun + rest).toBe(true);
        goneOn++;
      }
      expect(new Matcher(grammar, read(grammar, text)).accept(endId), text).toBe(true);
    }
    expect(goneOn).toBeGreaterThan(20);
  });

  it.each(Object.entries(formats))("%s: may have the tokens that an answer in one go has there", (_, format) => {
    const grammar = compile(format);
    for (const text of drawTexts(grammar, 12)) {
      const matcher = new Matcher(grammar);
      let bytes = Buffer.alloc(0);
      for (const id of tokenizer.encodeTemplate(text)) {
        expect(matcher.accept(id)).toBe(true);
        bytes = Buffer.concat([bytes, tokenizer.tokenBytes(id)]);
        if (!text.startsWith(bytes.toString())) continue; // within a character
        expect(allowedTokens(grammar.maskOf(read(grammar, bytes.toString())))).toEqual(allowedTokens(matcher.mask()));
      }
    }
  });

  it("is valid under random schemas", () => {
    let goneOn = 0;
    fc.assert(
      fc.property(schemas, fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (schema, seed, part) => {
        const format = { type: "json_schema", schema, isStrict: false, whitespace: "flexible", param: "schema" } as const;
        let grammar: CompiledGrammar;
        try {
          grammar = compile(format);
        } catch (error) {
          expect(error).toBeInstanceOf(RequestError);
          return;
        }
        const text = drawAnswer(grammar, seed, 120);
        if (text === undefined) return;
        const begun = Array.from(text)
          .slice(0, Math.floor(part * text.length))
          .join("");
        const rest = drawAnswer(grammar, seed + 1, 120, read(grammar, begun));
        if (rest === undefined) return;
        const isValid = ajv.validate(schema, JSON.parse(begun + rest));
        expect(isValid, `${begun}|${rest} of ${JSON.stringify(schema)}`).toBe(true);
        goneOn++;
      }),
      { numRuns: 150 },
    );
    expect(goneOn).toBeGreaterThan(60);
  });
});

type Served = { readonly format: OutputFormat; readonly text: string; readonly grammar?: CompiledGrammar };

/** One answer, served over a channel like that between the grammar thread and the server. */
async function serve(reader: BeginningReader, { format, text, grammar = compile(format) }: Served, signal = new AbortController().signal) {
  const { port1, port2 } = new MessageChannel();
  const shared = createMaskMemory(2048);
  void reader.serve(grammar, { format, begun: { text, param: "messages[1]" } }, port2, shared);
  await untilRead(port1, signal);
  return new RemoteMatcher({ port: port1, shared, ended: new SharedArrayBuffer(4) });
}

describe("a beginning", () => {
  it.each([
    [person, '{"nam', '`e":` at character 5, got `x`', "x"],
    [person, "", "`{` at character 0, got `Here is`", "Here is"],
    [person, '{"name": "é"', "`,` at character 12, got `}`", "}"],
    [person, '{"name": "a", "ages": [', "`\\n`, ` `, `-`, `0`–`9` or `]` at character 23, got `true`", "true"],
    [person, '{"name": "a", "ages": []}', "the end at character 25, got `!`", "!"],
    [formats["choice"]!, "", "`n`, `y` or a character beyond ASCII at character 0, got `🦊`", "🦊"],
    [formats["choice"]!, "不", "`知道` at character 1, got `矩`", "矩"],
    [{ ...calls, isRequired: true } as OutputFormat, "", "<tool_call> or `\\n` at character 0, got `Well`", "Well"],
  ])("that no answer has is refused with its place: %#", async (format, begun, problem, wrong) => {
    const refused = serve(new BeginningReader(), { format, text: begun + wrong });
    await expect(refused).rejects.toMatchObject({ status: 400, param: "messages[1]" });
    await expect(refused).rejects.toThrow(`expected ${problem}; begin as the form does`);
  });

  it("may be a whole answer", async () => {
    const constraint = await serve(new BeginningReader(), { format: formats["choice"]!, text: "yes" });
    expect(allowedTokens(constraint.mask(0)!)).toEqual([endId]);
    constraint.close();
  });

  it.each([
    ["spaces and line breaks", " \r\n\t", json],
    ["a fence", "```json\n", person],
    ["a fence without a name", "\n```\n", { ...calls, isRequired: false, otherwise: json } as OutputFormat],
  ])("may have before JSON %s", async (_, front, format) => {
    const grammar = compile(format);
    const constraint = await serve(new BeginningReader(), { format, text: `${front}{`, grammar });
    expect(allowedTokens(constraint.mask(0)!)).toEqual(allowedTokens(grammar.maskOf(read(grammar, "{"))));
    constraint.close();
  });

  it("has nothing before texts of other forms", async () => {
    await expect(serve(new BeginningReader(), { format: formats["choice"]!, text: " yes" })).rejects.toThrow("at character 0, got ` yes`");
  });

  it("that takes too long is refused", async () => {
    const text = `{"a": "${"b".repeat(100_000)}`;
    await expect(serve(new BeginningReader(0), { format: json, text })).rejects.toMatchObject({ code: "grammar_too_complex" });
  });
});

describe("a deep beginning", () => {
  it("is read as far as answers of people nest", async () => {
    const constraint = await serve(new BeginningReader(), { format: json, text: `{"a": ${"[".repeat(1_000)}` });
    expect(constraint.mask(0)).toBeDefined();
    constraint.close();
  });

  it("is refused before it fills the memory", async () => {
    const text = `{"a": ${'[{"b":'.repeat(50_000)}`;
    await expect(serve(new BeginningReader(Infinity), { format: json, text })).rejects.toMatchObject({
      code: "grammar_too_complex",
      message: "messages[1]: the beginning of the answer is nested more than 2000 deep; begin a flatter one",
    });
  });
});

describe("a long beginning", () => {
  const long: Served = { format: json, text: `{"a": [${'{"b": "c d e", "f": [1, 2, 3]}, '.repeat(30_000)}` };

  it("keeps neither masks of other answers nor short beginnings waiting", async () => {
    const reader = new BeginningReader(Infinity);
    const { port1, port2 } = new MessageChannel();
    const shared = createMaskMemory(2048);
    serveMatcher(compile(json), port2, shared);
    const other = new RemoteMatcher({ port: port1, shared, ended: new SharedArrayBuffer(4) });
    const order: string[] = [];
    const reading = serve(reader, long).then((constraint) => (order.push("long"), constraint));

    const short = serve(reader, { format: json, text: "{" }).then((constraint) => (order.push("short"), constraint));
    other.accept(allowedTokens(other.mask(0)!)[0]!);
    await expect.poll(() => other.mask(0), { interval: 1 }).toBeDefined();
    order.push("mask");
    for (const constraint of await Promise.all([reading, short])) constraint.close();
    other.close();

    expect(order.at(-1)).toBe("long");
    expect(order).toHaveLength(3);
  });

  it("is given up when the client leaves", async () => {
    const leaving = new AbortController();
    const { port1, port2 } = new MessageChannel();
    const ended = new BeginningReader(Infinity).serve(
      compile(json),
      { ...long, begun: { ...long, param: "" } },
      port2,
      createMaskMemory(2048),
    );
    const closed = once(port2, "close");
    const reading = untilRead(port1, leaving.signal);

    leaving.abort(new Error("gone"));

    await expect(reading).rejects.toThrow("gone");
    await Promise.all([ended, closed]);
  });

  it("is lost with the thread that reads it", async () => {
    const { port1, port2 } = new MessageChannel();
    setImmediate(() => port2.close());
    await expect(untilRead(port1, new AbortController().signal)).rejects.toThrow("the grammar thread has ended");
  });
});
