// Tests random JSON Schemas on a running server with the nano model: `npx tsx scripts/grammar/check-schemas.ts`, after `npm run build`.
// Each schema constrains an answer at temperature 1.5 and the arguments of a tool call, alternately with thinking and streaming. Every answer that
// ends by itself must validate; otherwise the exit code is 1.

import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import cliProgress from "cli-progress";
import { Command } from "commander";
import * as fc from "fast-check";
import type OpenAI from "openai";
import { wholeNumber } from "../../src/cli/options.ts";
import { startServer } from "../../test/e2e/start-server.ts";
import { type Schema, schemas } from "../../test/grammar/random-schemas.ts";

const [count] = new Command("check-schemas").argument("[schemas]", "how many", wholeNumber(1, 1_000_000), 500).parse().processedArgs as [
  number,
];
const maxTokens = 400;
const atOnce = 8;

const ajv = new Ajv2020({ strict: false, ownProperties: true });
addFormats.default(ajv);

type Outcome = "valid" | "cut off" | "schema contradicts itself" | "INVALID";
type Way = { readonly kind: "answer" | "arguments"; readonly thinking: boolean; readonly stream: boolean };

const server = await startServer(["--weights", "fp32"]);
const tally = new Map<string, Map<Outcome, number>>();
const failures: string[] = [];
const sampled = fc.sample(schemas, { numRuns: count, seed: 11 });
const bar = new cliProgress.SingleBar({ format: "{bar} {value}/{total} schemas" }, cliProgress.Presets.shades_classic);
bar.start(count, 0);
const waiting = [...sampled.entries()];
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      await check(...next);
      bar.increment();
    }
  }),
);
bar.stop();
await server.stop();

for (const [way, outcomes] of [...tally].toSorted(([a], [b]) => a.localeCompare(b))) {
  console.log(`${way.padEnd(40)}${[...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(", ")}`);
}
for (const failure of failures) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;

async function check(index: number, schema: Schema): Promise<void> {
  const way = { thinking: index % 2 === 1, stream: index % 4 > 1 };
  await note({ kind: "answer", ...way }, index, schema);
  await note({ kind: "arguments", ...way }, index, ofObject(schema));
}

/** Arguments must be an object, so other values become a member of one. */
function ofObject(schema: Schema): Schema {
  if (typeof schema === "object" && schema.type === "object") return schema;
  const { $defs, ...value } = typeof schema === "object" ? schema : {};
  return { type: "object", properties: { value }, required: ["value"], additionalProperties: false, ...($defs !== undefined && { $defs }) };
}

async function note(way: Way, index: number, schema: Schema): Promise<void> {
  const name = `${way.kind}, ${way.thinking ? "thinking" : "not thinking"}, ${way.stream ? "streaming" : "whole"}`;
  const outcome = await outcomeOf(way, index, schema);
  const outcomes = tally.get(name) ?? new Map<Outcome, number>();
  tally.set(name, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1));
}

async function outcomeOf(way: Way, index: number, schema: Schema): Promise<Outcome> {
  let text: string;
  try {
    const answer = await ask(way, index, schema);
    if (answer.isCut) return "cut off";
    text = answer.text;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (message.includes("contradicts itself")) return "schema contradicts itself";
    failures.push(`schema ${index}: ${message}`);
    return "INVALID";
  }
  if (isValid(schema, text)) return "valid";
  failures.push(`schema ${index}: ${JSON.stringify(schema)} got ${text}`);
  return "INVALID";
}

function isValid(schema: Schema, text: string): boolean {
  try {
    return ajv.validate(schema, JSON.parse(text));
  } catch {
    return false;
  }
}

async function ask({ kind, thinking, stream }: Way, seed: number, schema: Schema): Promise<{ text: string; isCut: boolean }> {
  const parameters = typeof schema === "object" ? schema : {};
  const tool = { type: "function", function: { name: "save", parameters } };
  const choice = { type: "function", function: { name: "save" } };
  const form: object = kind === "answer" ? { guided_json: parameters } : { tools: [tool], tool_choice: choice };
  const ownFields: object = { enable_thinking: thinking, reasoning_max_tokens: 64 };
  const request: OpenAI.ChatCompletionCreateParamsNonStreaming = {
    model: "ernie-vl-nano",
    messages: [{ role: "user", content: "What is the weather in Toronto?" }],
    temperature: 1.5,
    seed,
    max_completion_tokens: maxTokens,
    ...ownFields,
    ...form,
  };
  if (!stream) {
    const { message, finish_reason: reason } = (await server.client.chat.completions.create(request)).choices[0]!;
    const [call] = message.tool_calls ?? [];
    const text = kind === "answer" ? message.content : call?.type === "function" ? call.function.arguments : "";
    return { text: text ?? "", isCut: reason === "length" };
  }
  let [text, reason] = ["", ""];
  for await (const { choices } of await server.client.chat.completions.create({ ...request, stream: true })) {
    const delta = choices[0]?.delta;
    text += (kind === "answer" ? delta?.content : delta?.tool_calls?.[0]?.function?.arguments) ?? "";
    reason = choices[0]?.finish_reason ?? reason;
  }
  return { text, isCut: reason === "length" };
}
