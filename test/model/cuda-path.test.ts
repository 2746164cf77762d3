import { nanoModel } from "../../src/core/nano-model.ts";
import { createLogitChanges } from "../../src/engine/logit-changes.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { LocalModel } from "../../scripts/evaluate/local-model.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { BatchEntry, SlotId } from "../../src/core/batch.ts";
import { EngineError, UserError } from "../../src/core/errors.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { greedy, type SamplingParams } from "../../src/core/sampling.ts";
import type { SequenceEvent } from "../../src/engine/engine-protocol.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { makeFakeGpu, makeModel, modelOptions, play, type Action } from "./fake-gpu.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const work = temporaryFolder();
const folder = join(work, "model");

type Sample = { readonly images: readonly string[]; readonly is_video: boolean; readonly prompt: string };

let manifest: Manifest;
let prompts: EncodedPrompt[];

beforeAll(async () => {
  await convertCheckpoint(nanoModel, folder, { settings: { weights: "int8", activations: "fp32" }, programVersion: "test" });
  const local = new LocalModel(folder);
  manifest = local.manifest;
  const samples = JSON.parse(readFileSync(join(nanoModel, "samples/samples.json"), "utf8")) as Sample[];
  prompts = await Promise.all(
    samples.map(({ images, is_video: isVideo, prompt }) => {
      const files = images.map((image) => join(nanoModel, "samples", image));
      return local.encodeRendered(prompt, isVideo ? [files] : files.map((file) => [file]));
    }),
  );
  local.dispose();
});

/** Every way in which device memory is used: more requests than slots, pictures that the cache cannot all keep, shared prefixes, an abort. */
function scenario(): Action[] {
  const samplings: Partial<SamplingParams>[] = [
    {},
    { temperature: 1, seed: 1 },
    { repetitionPenalty: 1.3 },
    { temperature: 5, seed: 2 }, // almost even: most draws fall outside of the candidates
    { temperature: 0.8, topP: 0.9, frequencyPenalty: 0.5, seed: 3 },
  ];
  const requests = prompts.map((prompt, i) => ({ prompt, sampling: samplings[i % samplings.length]!, maxTokens: 6 + (i % 7) }));
  const first = requests.map((submit, i): Action => ({ beforeStep: 2 * i, submit }));
  const again = requests.slice(0, 6).map((submit, i): Action => ({ beforeStep: 200 + i, submit: { ...submit, maxTokens: 9 } }));
  const abort: Action = { beforeStep: 11, abort: 1 };
  return [...first, abort, ...again].toSorted((a, b) => a.beforeStep - b.beforeStep);
}

describe("the model on a GPU", () => {
  let expected: SequenceEvent[];
  beforeAll(() => {
    const model = makeModel(new Runtime(), folder, manifest);
    expected = play(model, scenario());
    model.dispose();
  });

  test("the scenario reaches what it is about", () => {
    const cached = expected.flatMap(([, event]) => (event.type === "started" ? [event.cachedTokens] : []));

    expect(cached.some((count) => count > 0)).toBe(true);
    expect(expected.filter(([, event]) => event.type === "failed")).toEqual([]);
    expect(prompts.some(({ spans }) => spans.length > 1)).toBe(true);
  });

  const ways = [
    { isLate: false, cudaGraphs: false },
    { isLate: true, cudaGraphs: false },
    { isLate: false, cudaGraphs: true },
    { isLate: true, cudaGraphs: true },
  ];
  test.each(ways)("gives the tokens of the CPU, with every address, copy and free in order (%o)", ({ isLate, cudaGraphs }) => {
    const { cuda, api, runtime } = makeFakeGpu({ isLate });
    const model = makeModel(runtime, folder, manifest, { cudaGraphs });

    const events = play(model, scenario());

    const { rows, onDevice } = cuda.takeCounts();
    expect(cuda.violations).toEqual([]);
    expect(events).toEqual(expected);
    expect(rows, "slots were copied and exchanged").toBeGreaterThan(0);
    expect(onDevice, "features were copied into place").toBeGreaterThan(0);
    model.dispose();
    expect(api.live).toEqual([]);
    runtime.dispose();
    expect(cuda.live).toEqual([]);
    cuda.dispose();
  });
});

/** Entry i of a decode batch: one token after `start` others. */
function decodeEntry(slot: number, start: number, sampling: Partial<SamplingParams> = {}, logprobCount?: number): BatchEntry {
  const tokenIds = Int32Array.of(40 + slot);
  const params = { ...greedy, ...sampling };
  const changes = createLogitChanges(params, tokenIds);
  changes?.add(7);
  return {
    slot: slot as SlotId,
    start,
    tokenIds,
    positions: Int32Array.of(start, start, start),
    visionExpert: new Uint8Array(1),
    spans: [],
    draw: { params, drawIndex: 1, changes, ...(logprobCount !== undefined && { logprobCount }) },
  };
}

test.each(["cpu", "cuda"])("a row that no token can be drawn from fails alone (%s)", (device) => {
  const { cuda, runtime } = device === "cuda" ? makeFakeGpu() : { cuda: undefined, runtime: new Runtime() };
  const model = makeModel(runtime, folder, manifest);
  const batchOf = (...changes: ((entry: BatchEntry) => BatchEntry)[]) =>
    model.step({ type: "decode", entries: changes.map((change, slot) => change(decodeEntry(slot, 0))) });
  const same = (entry: BatchEntry) => entry;
  const notFinite = (entry: BatchEntry) => ({ ...entry, draw: { ...entry.draw!, params: { ...greedy, temperature: NaN } } });
  const withoutMask = (entry: BatchEntry) => ({
    ...entry,
    draw: {
      ...entry.draw!,
      mask: () => {
        throw new EngineError("no mask came");
      },
    },
  });

  const good = batchOf(same, same, same).tokenIds;
  const { tokenIds, errors } = batchOf(same, notFinite, withoutMask);

  expect(tokenIds).toEqual([good[0], undefined, undefined]);
  expect(errors?.map((error) => error?.message)).toEqual([
    undefined,
    expect.stringMatching(/not finite: their log-sum-exp is NaN/),
    "no mask came",
  ]);
  model.dispose();
  runtime.dispose();
  cuda?.dispose();
});

test.each(["cpu", "cuda"])("a draw whose mask is late is postponed, and the others are made (%s)", (device) => {
  const { cuda, runtime } = device === "cuda" ? makeFakeGpu() : { cuda: undefined, runtime: new Runtime() };
  const model = makeModel(runtime, folder, manifest);
  const patiences: number[] = [];
  const late = (entry: BatchEntry): BatchEntry => ({
    ...entry,
    draw: { ...entry.draw!, mask: (patienceMs) => void patiences.push(patienceMs) },
  });
  const only9 = (entry: BatchEntry): BatchEntry => ({ ...entry, draw: { ...entry.draw!, mask: () => Uint32Array.of(1 << 9) } });

  const entries = [late(decodeEntry(0, 0)), only9(decodeEntry(1, 0)), late(decodeEntry(2, 0))];
  const { tokenIds, errors, postponed } = model.step({ type: "decode", entries });

  expect({ tokenIds, errors, postponed }).toEqual({
    tokenIds: [undefined, 9, undefined],
    errors: undefined,
    postponed: [true, false, true],
  });
  expect(patiences.every((patienceMs) => patienceMs >= 0 && patienceMs <= 10)).toBe(true);
  model.dispose();
  runtime.dispose();
  cuda?.dispose();
});

describe("a decode step on a GPU", () => {
  const penalties = { presencePenalty: 1, frequencyPenalty: 0.5, repetitionPenalty: 1.2 };
  const once = { run: 2, download: 1, synchronize: 1 };
  const cases: [string, BatchEntry[], object][] = [
    [
      "takes one copy up, two runs, one copy down and one synchronization",
      [decodeEntry(0, 0), decodeEntry(1, 0, { temperature: 1, topK: 40 })],
      once,
    ],
    ["takes no more for penalties", [decodeEntry(0, 0, penalties), decodeEntry(1, 0, { ...penalties, temperature: 1, topK: 5 })], once],
    ["takes no more for log-probabilities of logits that nothing scales", [decodeEntry(0, 0, {}, 20), decodeEntry(1, 0, {}, 20)], once],
    [
      "ranks the logits once more for log-probabilities beside a temperature, however many sequences want them",
      [0, 1, 2].map((slot) => decodeEntry(slot, 0, { temperature: 0.5, topK: 5 }, 20)),
      { run: 3, download: 2, synchronize: 2 },
    ],
    [
      "fetches the row of each sequence with a token that a bias raises",
      [0, 1, 2].map((slot) => decodeEntry(slot, 0, slot === 0 ? {} : { logitBias: [[9, 1]] })),
      { run: 2, download: 3, synchronize: 3 },
    ],
  ];
  test.each(cases)("%s", (_, entries, counts) => {
    const { cuda, runtime } = makeFakeGpu();
    const model = makeModel(runtime, folder, manifest);
    cuda.takeCounts();

    model.step({ type: "decode", entries });

    expect(cuda.takeCounts()).toEqual({ upload: 1, onDevice: 0, rows: 0, ...counts });
    model.dispose();
    runtime.dispose();
    cuda.dispose();
  });
});

describe("CUDA graphs", () => {
  test("are recorded for every batch size while warming up, the largest first, and only replayed afterwards", () => {
    const { cuda, api, runtime } = makeFakeGpu();
    const model = makeModel(runtime, folder, manifest);
    const progress: number[][] = [];

    model.warmUp((done, total) => progress.push([done, total]));

    const { slotCount } = modelOptions;
    const decodes = api.graphIds.filter((id) => id !== "-1");
    expect(decodes).toEqual(Array.from({ length: slotCount }, (_, i) => String(slotCount - i)));
    const stepCount = api.graphIds.length + 1; // and a picture
    expect(progress).toEqual(Array.from({ length: stepCount + 1 }, (_, done) => [done, stepCount]));
    expect(play(model, scenario()).filter(([, event]) => event.type === "failed")).toEqual([]);
    expect(new Set(api.graphIds)).toEqual(new Set(["-1", ...decodes]));
    expect(cuda.violations).toEqual([]);
    model.dispose();
    runtime.dispose();
    cuda.dispose();
  });

  test("give what the same steps give without them after warming up", () => {
    const answers = [true, false].map((cudaGraphs) => {
      const { cuda, runtime } = makeFakeGpu();
      const model = makeModel(runtime, folder, manifest, { cudaGraphs });
      model.warmUp();
      const events = play(model, scenario());
      model.dispose();
      runtime.dispose();
      cuda.dispose();
      return events;
    });

    expect(answers[0]).toEqual(answers[1]);
  });

  test("are asked for in the decoder's session only", () => {
    const { cuda, api, runtime } = makeFakeGpu();
    const model = makeModel(runtime, folder, manifest);
    const shared = { device_id: "0", arena_extend_strategy: "kSameAsRequested", use_tf32: "0", user_compute_stream: "ours" };

    expect(api.providerOptions).toEqual(["1", "0", "0"].map((graphs) => ({ ...shared, enable_cuda_graph: graphs })));
    model.dispose();
    runtime.dispose();
    cuda.dispose();
  });
});

describe("when GPU memory runs out", () => {
  test("at any allocation of the start, the model says so in one line and gives back what it had taken", () => {
    const { cuda, api, runtime } = makeFakeGpu();
    const before = cuda.live;
    cuda.failingAllocation = Infinity;
    makeModel(runtime, folder, manifest).dispose();
    const count = cuda.allocationCount;
    expect(count).toBeGreaterThan(2 * manifest.config.text.layerCount);

    for (let number = 0; number < count; number++) {
      cuda.failingAllocation = number;
      expect(() => makeModel(runtime, folder, manifest)).toThrow(UserError);
      expect(() => makeModel(makeFakeGpu({ failingAllocation: number }).runtime, folder, manifest)).toThrow(
        /^not enough GPU memory; lower --gpu-memory-utilization, .*: cudaMalloc: .* wanted, .* are free$|^not enough page-locked memory of the host, .*; raise the memory limit .*: cudaHostAlloc: .* wanted$/,
      );
      expect(cuda.live).toEqual(before);
      expect(api.live).toEqual([]);
    }
    expect(cuda.violations).toEqual([]);
    runtime.dispose();
    cuda.dispose();
  });

  test("at any allocation for a picture, the step fails, nothing is lost, and the next step succeeds", () => {
    const { cuda, runtime } = makeFakeGpu();
    const beforeModel = cuda.live;
    const model = makeModel(runtime, folder, manifest);
    const { image } = prompts.find(({ spans }) => spans.length > 0)!.spans[0]!;
    const before = cuda.live;

    for (const number of [0, 1, 2, 3]) {
      cuda.failingAllocation = number;
      expect(() => model.step({ type: "encode", image, maxTokens: 1e6 })).toThrow(/cudaErrorMemoryAllocation/);
      expect(cuda.live).toEqual(before);
      expect(model.hasFeatures(image)).toBe(false);
    }
    cuda.failingAllocation = Infinity;
    while (!model.hasFeatures(image)) model.step({ type: "encode", image, maxTokens: 20 });
    model.step({ type: "encode", image: { ...image, hash: "never finished" }, maxTokens: 1 });

    model.dispose();
    expect(cuda.live).toEqual(beforeModel);
    expect(cuda.violations).toEqual([]);
    runtime.dispose();
    cuda.dispose();
  });

  // As the provider words them.
  const failures: [string, RegExp][] = [
    ["CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);", /^not enough GPU memory; lower /],
    ["CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);", /^not enough GPU memory; lower /],
    [
      "CUDA failure 901: operation failed ; GPU=0 ; expr=cudaStreamEndCapture(stream_, &graph_);",
      /^a decode step of 4 sequences cannot be recorded .*--cuda-graphs off/,
    ],
  ];
  test.each(failures)("or a graph cannot be recorded, while the first decode step warms up, one line says so: %s", (message, expected) => {
    const { cuda, api, runtime } = makeFakeGpu();
    const model = makeModel(runtime, folder, manifest);
    const call = api.call.bind(api);
    vi.spyOn(api, "call").mockImplementation((name, ...args) => {
      call(name, ...args);
      if (api.graphIds.at(-1) === "4") throw new EngineError(`ONNX Runtime ${name}: ${message}`);
    });

    const error = errorOf(() => model.warmUp());
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toMatch(expected);
    expect(error.message).toContain(message);
    model.dispose();
    runtime.dispose();
    cuda.dispose();
  });
});

function errorOf(run: () => void): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}
