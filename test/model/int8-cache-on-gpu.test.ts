// An int8 KV cache on the simulated GPU: its scales are measured, uploaded and used there as on the CPU.

import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { evaluationCases, toChat } from "../../scripts/evaluate/evaluation-set.ts";
import { LocalModel } from "../../scripts/evaluate/local-model.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import type { KvScales } from "../../src/model/kv-cache.ts";
import { measureKvScales } from "../../src/model/kv-scales.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { makeFakeGpu, makeModel, play, type Action } from "./fake-gpu.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const work = temporaryFolder();
const folder = join(work, "model");
let manifest: Manifest;
let prompts: EncodedPrompt[];
let scales: KvScales;

beforeAll(async () => {
  await convertCheckpoint(nanoModel, folder, { settings: { weights: "int8", activations: "fp32" }, programVersion: "test" });
  const local = new LocalModel(folder);
  manifest = local.manifest;
  const chosen = evaluationCases.filter((_, i) => i % 60 === 0);
  prompts = await Promise.all(chosen.map((item) => local.encodeChat(toChat(item, false))));
  local.dispose();
  scales = measure(new Runtime());
});

function measure(runtime: Runtime): KvScales {
  return measureKvScales(runtime, folder, manifest.config, "float32", { prompts, threadCount: 1 });
}

/** More requests than slots, so that slots are exchanged. */
function scenario(): Action[] {
  return prompts.map((prompt, i) => ({ beforeStep: 2 * i, submit: { prompt, maxTokens: 4 + i } }));
}

describe.each([{ isLate: false }, { isLate: true }])("on a GPU (%o)", ({ isLate }) => {
  test("the scales are those that the CPU measures, and all memory is given back", () => {
    const { cuda, api, runtime } = makeFakeGpu({ isLate });

    const measured = measure(runtime);

    expect(measured).toEqual(scales);
    expect(cuda.violations).toEqual([]);
    expect(api.live).toEqual([]);
    runtime.dispose();
    expect(cuda.live).toEqual([]);
    cuda.dispose();
  });

  test.each([{ cudaGraphs: false }, { cudaGraphs: true }])("tokens are those of the CPU (%o)", ({ cudaGraphs }) => {
    const onCpu = makeModel(new Runtime(), folder, manifest, { kvScales: scales });
    const { cuda, runtime } = makeFakeGpu({ isLate });
    const onGpu = makeModel(runtime, folder, manifest, { kvScales: scales, cudaGraphs });

    const events = play(onGpu, scenario());

    expect(events).toEqual(play(onCpu, scenario()));
    expect(cuda.violations).toEqual([]);
    expect(cuda.takeCounts().rows, "slots were exchanged").toBeGreaterThan(0);
    onGpu.dispose();
    onCpu.dispose();
    runtime.dispose();
    expect(cuda.live).toEqual([]);
    cuda.dispose();
  });
});
