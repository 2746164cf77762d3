// The nano model with an int8 KV cache, its scales measured, against the same model with a cache that rounds nothing.

import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { evaluationCases, toChat } from "../../scripts/evaluate/evaluation-set.ts";
import { LocalModel } from "../../scripts/evaluate/local-model.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import type { KvScales } from "../../src/model/kv-cache.ts";
import { measureKvScales } from "../../src/model/kv-scales.ts";
import { readManifest } from "../../src/model-folder.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const maxTokens = 40;
const work = temporaryFolder();
const folder = join(work, "model");
let prompts: readonly EncodedPrompt[];
let expected: readonly string[];
let scales: KvScales;

function measure(some: readonly EncodedPrompt[]): KvScales {
  return measureKvScales(new Runtime(), folder, readManifest(folder).config, "float32", { prompts: some, threadCount: 0 });
}

beforeAll(async () => {
  await convertCheckpoint(nanoModel, folder, { settings: { weights: "int4", activations: "fp32" }, programVersion: "test" });
  const model = new LocalModel(folder);
  const chosen = evaluationCases.filter((_, i) => i % 22 === 0);
  prompts = await Promise.all(chosen.map((item) => model.encodeChat(toChat(item, false))));
  expected = model.answer(prompts, maxTokens);
  scales = measure(prompts);
  model.dispose();
});

test("nearly all answers stay the same", () => {
  const model = new LocalModel(folder, "cpu", { kvScales: scales });

  const answers = model.answer(prompts, maxTokens);

  model.dispose();
  expect(prompts.length).toBeGreaterThan(18);
  expect(answers.filter((answer, i) => answer === expected[i]).length).toBeGreaterThanOrEqual(prompts.length - 2);
});

test("answers do not depend on who else is answered: int8 slots move like others", () => {
  const model = new LocalModel(folder, "cpu", { kvScales: scales });
  // More than there are slots, of different lengths, some with the beginning of others.
  const together = [...prompts, ...prompts.slice(0, 5)];

  const answers = model.answer(together, maxTokens);

  const alone = together.map((prompt) => model.answer([prompt], maxTokens)[0]);
  model.dispose();
  expect(answers).toEqual(alone);
});

test("a prompt that was measured alone has no larger range than all of them", () => {
  const one = measure(prompts.slice(0, 1));

  expect(one).toHaveLength(scales.length);
  expect(one.every((scale, i) => scale <= scales[i]!)).toBe(true);
  expect(scales.every((scale) => scale > 0 && Number.isFinite(scale))).toBe(true);
});
