// The log-probabilities of generated tokens, and of a prompt's own, against the reference's logits, on a CPU and on a GPU made of host memory.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { greedy, type SamplingParams, type PromptTokenLogprobs, type TokenLogprobs } from "../../src/core/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import type { ErnieModel } from "../../src/model/ernie-model.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { makeFakeGpu, makeModel } from "./fake-gpu.ts";
import { hasTinyA, tinyA, tinyACases } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const cases = tinyACases;
const work = temporaryFolder();
let manifest: Manifest;

beforeAll(async () => {
  const settings = { weights: "fp32", activations: "fp32" } as const;
  await convertCheckpoint(join(tinyA, "checkpoint-hub"), work, { settings, programVersion: "test" });
  manifest = JSON.parse(readFileSync(join(work, "manifest.json"), "utf8")) as Manifest;
});

/** The definition, from the logits that the reference has behind a token of the prompt, the last by default. */
function expectedLogprobs({ tensors }: (typeof cases)[number], index = -1): Float64Array {
  const { data, shape } = tensors.get("logits")!;
  const row = Float64Array.from((data as Float32Array).slice(index * shape.at(-1)!, (index + 1) * shape.at(-1)! || undefined));
  const logSum = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  return row.map((logit) => logit - logSum);
}

/** The first token of each answer, all requests at once. */
function firstTokens(model: ErnieModel, sampling: Partial<SamplingParams>) {
  const engine = new Engine(model, { prefillChunkTokens: 20 });
  cases.forEach(({ prompt }, id) => {
    const request = { prompt, sampling: { ...greedy, ...sampling }, maxTokens: 2, stopTokenIds: [] };
    engine.submit(id as SequenceId, { ...request, ...(id !== 0 && { logprobCount: id === 1 ? 0 : 20 }) });
  });
  const tokens = new Map<number, { tokenId: number; logprobs?: TokenLogprobs }>();
  while (engine.hasWork()) for (const [id, event] of engine.step()) if (event.type === "token" && !tokens.has(id)) tokens.set(id, event);
  return cases.map((_, id) => tokens.get(id)!);
}

describe.skipIf(!hasTinyA).each(["cpu", "gpu"])("log-probabilities on a %s", (device) => {
  test.each([
    ["greedy", {}],
    ["at temperature 1", { temperature: 1, seed: 3 }],
    ["at another temperature, with a penalty and a bias", { temperature: 2, seed: 4, presencePenalty: 1, logitBias: [[17, 4]] as const }],
  ])("are those of the reference's logits, %s", (_, sampling) => {
    const gpu = device === "gpu" ? makeFakeGpu() : undefined;
    const model = makeModel(gpu?.runtime ?? new Runtime(), work, manifest);

    const tokens = firstTokens(model, sampling);

    model.dispose();
    expect(gpu?.cuda.violations ?? []).toEqual([]);
    expect(tokens[0]!.logprobs).toBeUndefined(); // did not ask
    expect(tokens[1]!.logprobs!.top).toEqual([]);
    for (const [id, { tokenId, logprobs }] of tokens.entries()) {
      if (!logprobs) continue;
      const expected = expectedLogprobs(cases[id]!);
      const tolerance = 2 * cases[id]!.tolerance("logits"); // of a logit, and of the sum
      expect(Math.abs(logprobs.logprob - expected[tokenId]!)).toBeLessThan(tolerance);
      const best = expected.toSorted().toReversed();
      expect(logprobs.top).toHaveLength(id === 1 ? 0 : 20);
      for (const [rank, top] of logprobs.top.entries()) {
        expect(Math.abs(top.logprob - expected[top.tokenId]!)).toBeLessThan(tolerance);
        expect(Math.abs(top.logprob - best[rank]!)).toBeLessThan(tolerance);
      }
    }
  });

  test("of prompts, with pictures and videos in them, are those of the reference's logits at every token", () => {
    const gpu = device === "gpu" ? makeFakeGpu() : undefined;
    const model = makeModel(gpu?.runtime ?? new Runtime(), work, manifest);
    const whole = cases.filter(({ prompt, tensors }) => tensors.get("logits")!.shape[0] === prompt.tokenIds.length);

    const engine = new Engine(model, { prefillChunkTokens: 20 });
    whole.forEach(({ prompt }, id) => {
      const request = { prompt, sampling: greedy, maxTokens: 1, stopTokenIds: [], promptLogprobCount: 1 };
      engine.submit(id as SequenceId, request);
    });
    const scores = whole.map((): PromptTokenLogprobs[] => []);
    while (engine.hasWork())
      for (const [id, event] of engine.step()) if (event.type === "prompt-logprobs") scores[id]!.push(...event.logprobs);

    model.dispose();
    expect(gpu?.cuda.violations ?? []).toEqual([]);
    expect(whole.length).toBeGreaterThan(6);
    for (const [id, { prompt, tolerance, name }] of whole.entries()) {
      expect(scores[id], name).toHaveLength(prompt.tokenIds.length - 1);
      for (const [i, { logprob, rank, top }] of scores[id]!.entries()) {
        const expected = expectedLogprobs(whole[id]!, i);
        const bound = 2 * tolerance("logits");
        const own = expected[prompt.tokenIds[i + 1]!]!;
        expect(Math.abs(logprob - own), `${name} ${i}`).toBeLessThan(bound);
        expect(rank, `${name} ${i}`).toBeGreaterThan(expected.filter((other) => other > own + 2 * bound).length);
        expect(rank, `${name} ${i}`).toBeLessThanOrEqual(expected.filter((other) => other > own - 2 * bound).length);
        expect(Math.abs(top[0]!.logprob - Math.max(...expected)), `${name} ${i}`).toBeLessThan(bound);
      }
    }
  });
});
