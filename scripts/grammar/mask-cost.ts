// The cost of grammar masks: `npx tsx scripts/grammar/mask-cost.ts`. Draws random answers under the masks, first in this thread,
// then through the grammar's thread with a fake model that takes some milliseconds per step.

import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { Command } from "commander";
import { wholeNumber } from "../../src/cli/options.ts";
import { nanoModel } from "../../src/core/nano-model.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { type OutputFormat, toolCallTokens } from "../../src/core/structured-output.ts";
import { GrammarCache } from "../../src/grammar/grammar-service.ts";
import { GrammarClient } from "../../src/grammar/grammar-client.ts";
import { RemoteMatcher } from "../../src/grammar/mask-exchange.ts";
import { Matcher } from "../../src/grammar/matcher.ts";
import { describe } from "../../src/loadgen/percentiles.ts";
import { SeededRandom } from "../../src/loadgen/seeded-random.ts";
import { type GrammarVocabulary, readVocabulary, type TokenSource } from "../../src/grammar/token-trie.ts";

const stepMs = 5;
const answerLimit = 300;

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 150 },
    email: { type: "string", format: "email" },
    tags: { type: "array", items: { type: "string", maxLength: 20 }, maxItems: 5 },
    address: {
      type: "object",
      properties: { street: { type: "string", maxLength: 100 }, zip: { type: "string", pattern: "^[0-9]{5}$" } },
      required: ["street"],
    },
  },
  required: ["name", "age", "tags"],
};
const schema = (value: unknown): OutputFormat => ({
  type: "json_schema",
  schema: value,
  isStrict: true,
  whitespace: "flexible",
  param: "schema",
});
const formats: Record<string, OutputFormat> = {
  "any JSON": { type: "json_object", whitespace: "flexible" },
  "a person": schema(person),
  "string of 3–50": schema({ type: "string", minLength: 3, maxLength: 50 }),
  "date-time": schema({ type: "string", format: "date-time" }),
  "tool call": {
    type: "tool_calls",
    tools: [{ name: "save", parameters: person, isStrict: true, param: "tools[0].parameters" }],
    isRequired: true,
    maxCalls: 1,
  },
};

const tokenizer = loadTokenizer(nanoModel);
const [vocabularySize] = new Command("mask-cost").argument("[tokens]", "size of the vocabulary", wholeNumber(1, 1 << 20), 2048).parse()
  .processedArgs as [number];
const vocabulary = makeVocabulary(vocabularySize);
let start = performance.now();
const cache = new GrammarCache(vocabulary);
console.log(`${vocabulary.vocabSize} tokens, tree built in ${(performance.now() - start).toFixed(0)} ms`);
for (const [name, format] of Object.entries(formats)) measureMasks(name, format);
await measureWaits();

/** The nano vocabulary, padded with unused words and characters. */
function makeVocabulary(size: number): GrammarVocabulary {
  const words = new Map<number, Uint8Array>();
  const seen = new Set<string>();
  const random = new SeededRandom(1);
  for (let id = 2048; id < size;) {
    const isHan = random.unit() < 0.25;
    const letters = Array.from({ length: 1 + Math.floor(random.unit() * (isHan ? 4 : 9)) }, () =>
      isHan ? 0x4e00 + Math.floor(random.unit() * 7000) : 97 + Math.floor(random.unit() ** 2 * 26),
    );
    const word = (random.unit() < 0.4 ? " " : "") + String.fromCharCode(...letters);
    if (seen.has(word)) continue;
    seen.add(word);
    words.set(id++, Buffer.from(word));
  }
  const source: TokenSource = {
    tokenBytes: (id) => words.get(id) ?? tokenizer.tokenBytes(id),
    isSpecial: (id) => tokenizer.isSpecial(id),
    controlTokenId: (content) => tokenizer.controlTokenId(content),
  };
  return readVocabulary(source, size, [tokenizer.controlTokenId("</s>")!], Object.values(toolCallTokens));
}

function measureMasks(name: string, format: OutputFormat): void {
  start = performance.now();
  const grammar = cache.compile({ format, followsThinking: false });
  const compileMs = performance.now() - start;
  const times: number[] = [];
  let first: number[] = [];
  let cpu = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const matcher = new Matcher(grammar);
    const random = new SeededRandom(seed);
    for (let count = 0; count < answerLimit && !matcher.hasEnded; count++) {
      const before = process.cpuUsage();
      start = performance.now();
      const mask = matcher.mask();
      times.push(performance.now() - start);
      const { user, system } = process.cpuUsage(before);
      cpu += (user + system) / 1000;
      matcher.accept(drawToken(mask, random));
    }
    if (seed === 1) first = [...times];
  }
  console.log(
    `${name}: compiled in ${compileMs.toFixed(1)} ms; ms per mask: first answer ${summary(first)}; 20 answers ${summary(times)}, CPU ${(cpu / times.length).toFixed(3)}; ${(grammar.bytes / 1e6).toFixed(1)} MB`,
  );
}

/** How long a model that takes `stepMs` for a step waits for masks, with 8 answers at a time. */
async function measureWaits(): Promise<void> {
  const { href } = new URL("../../src/grammar/grammar-worker.ts", import.meta.url);
  const script = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(href)})))`;
  const client = new GrammarClient(vocabulary, { createWorker: () => new Worker(script, { eval: true, workerData: vocabulary }) });
  const constraint = { format: formats["a person"]!, followsThinking: false };
  const opened = await Promise.all(Array.from({ length: 8 }, () => client.open(constraint, new AbortController().signal)));
  const rows = opened.map((handle) => new RemoteMatcher(handle));
  const endId = vocabulary.endIds[0]!;
  const random = new SeededRandom(2);
  const waits: number[] = [];
  let drawn = 0;
  for (let step = 0; step < 200 && rows.length > 0; step++) {
    await sleep(stepMs); // the forward pass
    start = performance.now();
    const masks = rows.map((row) => row.mask(60_000));
    waits.push(performance.now() - start);
    for (let i = rows.length - 1; i >= 0; i--) {
      const id = drawToken(masks[i]!, random);
      drawn++;
      if (id === endId) rows.splice(i, 1)[0]!.close();
      else rows[i]!.accept(id);
    }
  }
  console.log(`through the grammar's thread, steps of ${stepMs} ms, 8 answers: ${drawn} tokens; ms waited per step: ${summary(waits)}`);
  await client.close();
}

/** The first allowed token after a random one: not uniform, but fast. */
function drawToken(mask: Uint32Array, random: SeededRandom): number {
  let id = Math.floor(random.unit() * vocabulary.vocabSize);
  while (((mask[id >> 5]! >>> (id & 31)) & 1) === 0) id = (id + 1) % vocabulary.vocabSize;
  return id;
}

function summary(times: number[]): string {
  const { mean, p50, max } = describe(times)!;
  return `mean ${mean.toFixed(3)}, median ${p50.toFixed(3)}, worst ${max.toFixed(1)}`;
}
