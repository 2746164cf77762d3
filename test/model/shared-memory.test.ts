import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { KvPages } from "../../src/core/batch.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { greedy } from "../../src/core/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EngineStats, SequenceId } from "../../src/engine/engine-protocol.ts";
import type { ErnieModel } from "../../src/model/ernie-model.ts";
import { readManifest } from "../../src/model-folder.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { makePrompt } from "../engine/fake-model.ts";
import { makeFakeGpu, makeModel } from "./fake-gpu.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const work = temporaryFolder();
const folder = join(work, "model");
const slotCapacity = 1100;

let manifest: Manifest;

beforeAll(async () => {
  await convertCheckpoint(nanoModel, folder, { settings: { weights: "int8", activations: "fp32" }, programVersion: "test" });
  manifest = readManifest(folder);
});

/** Eight prompts of about 500 tokens, some of which begin alike, and answers of 40. */
function answer(model: ErnieModel): { readonly tokens: readonly number[][]; readonly stats: EngineStats } {
  const engine = new Engine(model, { prefillChunkTokens: 20, headroomTokens: 0 });
  const tokens: number[][] = [];
  for (let i = 0; i < 8; i++) {
    const content = Array.from({ length: 485 + 4 * i }, (_, at) => 5 + (((at + 7) * (at < 300 ? (i % 3) + 3 : i + 11)) % 900));
    engine.submit(i as SequenceId, { prompt: makePrompt(content), sampling: greedy, maxTokens: 40, stopTokenIds: [] });
    tokens.push([]);
  }
  while (engine.hasWork()) {
    for (const [id, event] of engine.step()) {
      if (event.type === "token") tokens[id]!.push(event.tokenId);
      if (event.type === "failed") throw new Error(event.message);
    }
    engine.checkIntegrity();
  }
  return { tokens, stats: engine.stats() };
}

function answerOnCpu(kvPages?: KvPages) {
  const model = makeModel(new Runtime(), folder, manifest, { slotCapacity, kvPages });
  const answers = answer(model);
  model.dispose();
  return answers;
}

describe("slots that share their memory", () => {
  let alone: ReturnType<typeof answer>;
  beforeAll(() => {
    alone = answerOnCpu();
  });

  test("have enough of it when each has its own", () => {
    expect(alone.stats.preemptions).toBe(0);
    expect(alone.tokens.map(({ length }) => length)).toEqual(alone.tokens.map(() => 40));
  });

  test("give the same answers where the youngest have to wait for the older ones, on a CPU", () => {
    // 64 KiB of a head: 512 tokens, which all prompts have in the first page or exceed with their answer.
    const { tokens, stats } = answerOnCpu({ tokens: 512, count: 5 });

    expect(stats.preemptions).toBeGreaterThan(0);
    expect(tokens).toEqual(alone.tokens);
  });

  test.each([true, false])("on a GPU, with every address, page, copy and free in order (CUDA graphs: %s)", (cudaGraphs) => {
    const { cuda, api, runtime } = makeFakeGpu({ pageBytes: 4096 });
    // 32 tokens of a head: one slot takes 35 pages.
    const model = makeModel(runtime, folder, manifest, { slotCapacity, cudaGraphs, kvPages: { tokens: 32, count: 50 } });
    model.warmUp();

    const { tokens, stats } = answer(model);

    expect(stats.preemptions).toBeGreaterThan(0);
    expect(cuda.violations).toEqual([]);
    expect(tokens).toEqual(alone.tokens);
    model.dispose();
    expect(api.live).toEqual([]);
    runtime.dispose();
    expect(cuda.live).toEqual([]);
    cuda.dispose();
  });

  test("at any allocation of the start, the model says so and gives back what it had taken", () => {
    const options = { slotCapacity: 64, kvPages: { tokens: 32, count: 4 } };
    const { cuda, api, runtime } = makeFakeGpu({ pageBytes: 4096 });
    const before = cuda.live;
    cuda.failingAllocation = Infinity;
    makeModel(runtime, folder, manifest, options).dispose();
    const count = cuda.allocationCount;
    expect(count, "a page of each head and block is an allocation").toBeGreaterThan(4 * 2 * 2 * manifest.config.text.layerCount);

    for (let number = 0; number < count; number++) {
      cuda.failingAllocation = number;
      expect(() => makeModel(runtime, folder, manifest, options)).toThrow(
        /^not enough (GPU memory; lower .*: cu(?!daHostAlloc)\w+: .* (are free|wanted)|page-locked memory of the host, .*: cudaHostAlloc: .* wanted)$/,
      );
      expect(cuda.live).toEqual(before);
      expect(api.live).toEqual([]);
    }
    expect(cuda.violations).toEqual([]);
    runtime.dispose();
    cuda.dispose();
  });
});
