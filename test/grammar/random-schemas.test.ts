import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RequestError } from "../../src/core/errors.ts";
import { keywordMixtures, schemas } from "./random-schemas.ts";
import { compile, drawAnswer } from "./nano-vocabulary.ts";

const answersPerSchema = 3;

const ajv = new Ajv2020({ strict: false, ownProperties: true });
addFormats.default(ajv);

describe("answers under 500 random schemas", () => {
  it("validate whenever they are finished, whatever tokens the model prefers", () => {
    let [finished, drawn, impossible] = [0, 0, 0];
    fc.assert(
      fc.property(schemas, fc.nat(), fc.boolean(), fc.boolean(), (schema, seed, isFlexible, followsThinking) => {
        const isValid = ajv.compile(schema);
        let grammar;
        try {
          const whitespace = isFlexible ? "flexible" : "compact";
          grammar = compile({ type: "json_schema", schema, isStrict: true, whitespace, param: "schema" }, followsThinking);
        } catch (error) {
          // Some random schemas contradict themselves.
          expect(error).toBeInstanceOf(RequestError);
          expect((error as Error).message).toMatch(/contradicts itself/);
          impossible++;
          return;
        }
        for (let i = 0; i < answersPerSchema; i++) {
          drawn++;
          const answer = drawAnswer(grammar, seed + i);
          if (answer === undefined) continue;
          finished++;
          if (!isValid(JSON.parse(answer))) throw new Error(`not valid: ${answer}`);
        }
      }),
      { numRuns: 500, seed: 6 },
    );
    expect(impossible).toBeLessThan(50);
    expect(finished).toBeGreaterThan(drawn * 0.9);
  });
});

it("answers under any mixture of keywords validate, or the mixture is refused", () => {
  let finished = 0;
  fc.assert(
    fc.property(keywordMixtures, fc.nat(), (schema, seed) => {
      let grammar;
      try {
        grammar = compile({ type: "json_schema", schema, isStrict: true, whitespace: "compact", param: "schema" });
      } catch (error) {
        expect(error).toBeInstanceOf(RequestError);
        return;
      }
      const isValid = ajv.compile(schema);
      for (let i = 0; i < answersPerSchema; i++) {
        const answer = drawAnswer(grammar, seed + i, 60);
        if (answer === undefined) continue;
        finished++;
        if (!isValid(JSON.parse(answer))) throw new Error(`not valid: ${answer}`);
      }
    }),
    { numRuns: 600, seed: 1 },
  );
  expect(finished).toBeGreaterThan(500);
});
