import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { OutputFormat } from "../../src/core/structured-output.ts";
import { type CompiledGrammar, Matcher } from "../../src/grammar/matcher.ts";
import { allowedTokens, compile, drawAnswer, endId, randomSource, tokenText } from "./nano-vocabulary.ts";

const ajv = new Ajv2020({ strict: false, validateFormats: false });

function strict(schema: unknown): OutputFormat {
  return { type: "json_schema", schema, isStrict: true, whitespace: "compact", param: "schema" };
}

/** Random answers that are complete: some of any allowed tokens, some that prefer tokens which lead to the end. */
function answers(schema: unknown): string[] {
  const grammar = compile(strict(schema));
  const drawn = Array.from({ length: 12 }, (_, seed) => [drawAnswer(grammar, seed), drawEnding(grammar, seed)]);
  const finished = drawn.flat().filter((answer) => answer !== undefined);
  expect(finished.length).toBeGreaterThan(8);
  return finished;
}

/** Prefers tokens that end the answer, or that lead to the domain of an e-mail address. */
function drawEnding(grammar: CompiledGrammar, seed: number): string | undefined {
  const random = randomSource(seed + 1);
  const matcher = new Matcher(grammar);
  const pieces: Uint8Array[] = [];
  for (let count = 0; count < 400 && !matcher.hasEnded; count++) {
    const allowed = allowedTokens(matcher.mask());
    const ending =
      count > 20 && random() < 0.4 ? allowed.filter((id) => id === endId || /^["@.}]/.test(Buffer.from(tokenText(id)).toString())) : [];
    const pool = ending.length > 0 ? ending : allowed;
    const id = pool[Math.floor(random() * pool.length)]!;
    matcher.accept(id);
    if (id !== endId) pieces.push(tokenText(id));
  }
  return matcher.hasEnded ? Buffer.concat(pieces).toString() : undefined;
}

const formats: Readonly<Record<string, z.ZodType>> = {
  email: z.email(),
  url: z.url(),
  uuid: z.uuid(),
  uuidv4: z.uuidv4(),
  uuidv7: z.uuidv7(),
  guid: z.guid(),
  date: z.iso.date(),
  time: z.iso.time(),
  datetime: z.iso.datetime(),
  "datetime with offset": z.iso.datetime({ offset: true, local: true }),
  duration: z.iso.duration(),
  ipv4: z.ipv4(),
  ipv6: z.ipv6(),
  mac: z.mac(),
  cidrv4: z.cidrv4(),
  cidrv6: z.cidrv6(),
  base64: z.base64(),
  base64url: z.base64url(),
  nanoid: z.nanoid(),
  cuid: z.cuid(),
  cuid2: z.cuid2(),
  ulid: z.ulid(),
  xid: z.xid(),
  ksuid: z.ksuid(),
  e164: z.e164(),
  emoji: z.emoji(),
  hostname: z.hostname(),
  hex: z.hex(),
  "sha256 hash": z.hash("sha256"),
  "template literal": z.templateLiteral(["id-", z.number(), "-", z.email()]),
  "a beginning and an end": z.string().startsWith("a").endsWith("b").max(12),
  "a beginning, an end, a part, a pattern and lengths": z.string().startsWith("a").endsWith("b").includes("cd").regex(/\d/).min(8).max(20),
  "an e-mail address of bounded length": z.email().min(8).max(60),
  "an object of several": z.object({ a: z.hostname(), b: z.hostname(), c: z.iso.duration().optional(), d: z.array(z.email()).max(2) }),
};

describe("what zod writes is enforced, and zod takes the answers, for", () => {
  it.each(Object.entries(formats))("%s", (_, type) => {
    const { $schema: _dialect, ...schema } = z.toJSONSchema(type);
    const isValid = ajv.compile(schema);

    for (const answer of answers(schema)) {
      expect(isValid(JSON.parse(answer)), answer).toBe(true);
      expect(type.safeParse(JSON.parse(answer)).success, answer).toBe(true);
    }
  });

  it.each([
    ["jwt", z.jwt(), /^schema: these keywords cannot be enforced: schema\.format;/],
    ["a URL of bounded length", z.url().max(100), /these keywords cannot be enforced: schema\.maxLength \(beside this pattern/],
  ])("not %s, which is refused by name", (_, type, message) => {
    expect(() => compile(strict(z.toJSONSchema(type)))).toThrow(message);
  });
});

const mail = "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";

describe("schemas of other tools", () => {
  it("names of properties may be held to look-aheads", () => {
    const schema = {
      type: "object",
      propertyNames: { pattern: "^(?!_)\\w+$" },
      additionalProperties: { type: "integer" },
      maxProperties: 3,
    };
    const isValid = ajv.compile(schema);

    for (const answer of answers(schema)) expect(isValid(JSON.parse(answer)), answer).toBe(true);
  });

  it("Pydantic's unions that a property tells apart: answers are valid", () => {
    const kind = (name: string) => ({ const: name, title: "Kind", type: "string" });
    const union = {
      discriminator: { mapping: { not: "#/$defs/Not", word: "#/$defs/Word" }, propertyName: "kind" },
      oneOf: [{ $ref: "#/$defs/Not" }, { $ref: "#/$defs/Word" }],
    };
    const schema = {
      $defs: {
        Not: { properties: { kind: kind("not"), of: union }, required: ["kind", "of"], type: "object" },
        Word: { properties: { kind: kind("word"), text: { type: "string", maxLength: 5 } }, required: ["kind", "text"], type: "object" },
      },
      properties: { query: union },
      required: ["query"],
      type: "object",
    };
    const isValid = ajv.compile(schema);

    for (const answer of answers(schema)) expect(isValid(JSON.parse(answer)), answer).toBe(true);
  });

  it.each([
    ["Pydantic's HttpUrl", { format: "uri", minLength: 1, maxLength: 2083 }],
    ["zod 4's e-mail of earlier versions", { pattern: mail }],
    ["such an e-mail of bounded length", { pattern: mail, minLength: 8, maxLength: 40 }],
    ["Pydantic's Decimal", { pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }],
    [
      "Pydantic's Decimal of 5 digits, 2 of them decimals",
      { pattern: "^(?!^[-+.]*$)[+-]?0*(?:\\d{0,3}|(?=[\\d.]{1,6}0*$)\\d{0,3}\\.\\d{0,2}0*$)" },
    ],
    ["Pydantic's bytes", { format: "binary" }],
    ["Pydantic's SecretStr of a bounded length", { format: "password", writeOnly: true, minLength: 2, maxLength: 9 }],
    ["Pydantic's Path", { format: "path" }],
    ["a password with a letter, a digit and a sign", { pattern: "^(?=.*[A-Z])(?=.*\\d)(?=.*[^\\w\\s]).{8,64}$" }],
    ["no comment's end", { pattern: "^(?:(?!-->).)*$" }],
    ["not a reserved word", { pattern: "^(?!(?:null|true|false)$)[a-z]+$" }],
  ])("%s: answers are valid", (_, keywords) => {
    const schema = { type: "string", ...keywords };
    const isValid = ajv.compile(schema);

    for (const answer of answers(schema)) expect(isValid(JSON.parse(answer)), answer).toBe(true);
  });

  it.each([1, 3, 4, 5, 6, 7, 8] as const)("Pydantic's UUID%i: answers are of this version", (version) => {
    const uuid = z.uuid({ version: `v${version}` });

    for (const answer of answers({ type: "string", format: `uuid${version}` })) {
      expect(uuid.safeParse(JSON.parse(answer)).success, answer).toBe(true);
    }
  });
});
