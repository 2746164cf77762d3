import { describe, expect, test } from "vitest";
import type { ComputeDevice } from "../../src/cli/choose-device.ts";
import { describeMemory, planMemory } from "../../src/cli/memory-plan.ts";
import type { MemoryWishes } from "../../src/cli/memory-wishes.ts";
import { imageCacheBytes, workspaceBytes } from "../../src/cli/workspace.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";
import { UserError } from "../../src/core/errors.ts";
import { makeGpu } from "./make-gpu.ts";

const gibibyte = 2 ** 30;
const { config } = openSynthetic("28b");
const weightBytes = 17 * gibibyte;
const int4 = { weights: "int4", activations: "bf16", experts: "modality-moe" } as const;
/** Keys and values of a token: 28 layers, 4 heads of 128. */
const perToken = { bf16: 56 * 1024, int8: 28 * 1024 };

/** Each slot has memory of its own. */
function gpuOf(totalGibibytes: number, freeGibibytes = totalGibibytes): ComputeDevice {
  return { kind: "cuda", gpu: { ...makeGpu(totalGibibytes, freeGibibytes), pageBytes: undefined } };
}

/** A GPU of which slots share the memory. */
function sharedGpuOf(totalGibibytes: number, freeGibibytes = totalGibibytes): ComputeDevice {
  return { kind: "cuda", gpu: makeGpu(totalGibibytes, freeGibibytes) };
}

function plan(device: ComputeDevice, wishes: Partial<MemoryWishes> = {}, hostBytes = 0, limitBytes?: number) {
  const all: MemoryWishes = {
    kvCacheType: "auto",
    gpuMemoryUtilization: 0.9,
    maxModelLength: undefined,
    maxSequences: undefined,
    prefillChunkTokens: 512,
    ...wishes,
  };
  return planMemory({ config, settings: int4, weightBytes }, device, all, { bytes: hostBytes, limitBytes });
}

describe("on a GPU", () => {
  test("the KV cache takes what weights, workspace and CUDA leave of the share that may be used", () => {
    const { usableBytes, workspaceBytes: workspace, kv } = plan(gpuOf(80));

    expect(usableBytes).toBe(71.5 * gibibyte);
    expect(workspace).toBe(workspaceBytes(config, int4) + imageCacheBytes);
    const left = usableBytes - weightBytes - workspace;
    expect(kv.bytes).toBeLessThanOrEqual(left);
    expect(left - kv.bytes).toBeLessThan(kv.slotCount * perToken.bf16);
  });

  test("prompts are computed in long chunks where they leave enough for the KV cache", () => {
    const chunk = (device: ComputeDevice, wishes: Partial<MemoryWishes> = {}) =>
      plan(device, { prefillChunkTokens: undefined, ...wishes }, 64 * gibibyte).prefillChunkTokens;

    expect(chunk(gpuOf(80))).toBe(2048);
    expect(chunk(gpuOf(24))).toBe(512);
    expect(chunk({ kind: "cpu" })).toBe(512);
    expect(chunk(gpuOf(80), { prefillChunkTokens: 256 })).toBe(256);
    expect(plan(gpuOf(80), { prefillChunkTokens: undefined })).toEqual(plan(gpuOf(80), { prefillChunkTokens: 2048 }));
  });

  test("what each session keeps adds up: a longer chunk or more sequences leave less for the KV cache", () => {
    const { workspace, workspaceBytes: sum } = plan(gpuOf(80));
    const longer = plan(gpuOf(80), { prefillChunkTokens: 2048 }).workspace;
    const more = plan(gpuOf(80), { maxSequences: 64 }).workspace;

    expect(sum).toBe(workspace.pictures + workspace.steps + workspace.sampling + workspace.features + workspace.unpacking);
    expect(longer).toEqual({ ...workspace, steps: longer.steps });
    expect(longer.steps).toBeGreaterThan(workspace.steps);
    expect(more).toEqual({ ...workspace, sampling: more.sampling });
    expect(more.sampling).toBeGreaterThan(workspace.sampling);
  });

  test("what other processes use counts to the share", () => {
    expect(plan(gpuOf(80, 60)).usableBytes).toBe(plan(gpuOf(80)).usableBytes - 20 * gibibyte);
    expect(plan(gpuOf(80), { gpuMemoryUtilization: 0.5 }).usableBytes).toBe(39.5 * gibibyte);
  });

  test("a sequence of the model's whole context can be had, and as many as fit", () => {
    const { kv } = plan(gpuOf(80), { maxModelLength: 131_072 });

    expect(kv).toMatchObject({ slotCount: 7, capacity: 131_072 });
  });

  test("an int8 cache holds nearly twice the tokens; one layer in half precision is set aside for its reading", () => {
    const wishes = { maxSequences: 16 };
    const [full, int8] = [plan(gpuOf(80), wishes), plan(gpuOf(80), { ...wishes, kvCacheType: "int8" })];

    expect(int8.kvBytesPerToken).toBe(perToken.int8);
    expect(int8.kvDataType).toBe("int8");
    const tokens = int8.kv.slotCount * int8.kv.capacity;
    expect(tokens / (full.kv.slotCount * full.kv.capacity)).toBeCloseTo(56 / 30, 3);
    expect(int8.workspaceBytes).toBe(full.workspaceBytes + tokens * 2 * 1024);
    expect(int8.weightBytes + int8.workspaceBytes + int8.kv.bytes).toBeLessThanOrEqual(int8.usableBytes);
  });

  test.each([
    [
      "a small GPU",
      gpuOf(16),
      {},
      /needs 1\d\.\d GiB \(17\.0 GiB weights, 2\.0 GiB workspace \(.*\)\) plus a KV cache of at least 56\.0 MiB, but only 13\.9 GiB of the GPU's 16\.0 GiB may be used; use a larger GPU, or/,
    ],
    [
      "a full GPU",
      gpuOf(80, 20),
      {},
      /may be used, 60\.0 GiB are in use already; stop other programs on the GPU, or raise --gpu-memory-utilization$/,
    ],
    [
      "the full one of several GPUs",
      { kind: "cuda", gpu: { ...makeGpu(80, 20), deviceCount: 8 } },
      {},
      /stop other programs on the GPU, or choose another with CUDA_VISIBLE_DEVICES, or raise --gpu-memory-utilization$/,
    ],
    [
      "too many sequences",
      gpuOf(80),
      { maxSequences: 64, maxModelLength: 131_072 },
      /64 × 131072 tokens needs 448\.0 GiB \(56\.0 KiB per token\), but only/,
    ],
  ] as const)("%s is refused with what is needed, what is there and what to do", (_, device, wishes, message) => {
    expect(() => plan(device, wishes)).toThrow(UserError);
    expect(() => plan(device, wishes)).toThrow(message);
  });
});

describe("on a GPU that puts memory to addresses page by page", () => {
  test("32 sequences share the memory, each up to the model's whole context, in pages of 8,192 tokens", () => {
    const { kv, usableBytes, workspaceBytes: workspace } = plan(sharedGpuOf(80));

    expect(kv).toMatchObject({ slotCount: 32, capacity: 131_072, pages: { tokens: 8192 } });
    const left = usableBytes - weightBytes - workspace;
    expect(left - kv.bytes).toBeLessThan(8192 * perToken.bf16);
    expect(kv.bytes).toBe(kv.pages!.count * 8192 * perToken.bf16);
    expect(plan(sharedGpuOf(80), { maxSequences: 100 }).kv).toMatchObject({ slotCount: 100, capacity: 40_960 });
  });

  test("where there are few pages, each slot has its own memory, if that suffices", () => {
    const { kv } = plan(sharedGpuOf(24, 23.5));

    expect(kv.pages).toBeUndefined();
    expect(kv).toMatchObject({ slotCount: 4 });
    const alone = plan(sharedGpuOf(24, 23.5), { maxSequences: 1 }).kv;
    expect(alone.pages).toBeUndefined();
    expect(alone.capacity).toBeGreaterThanOrEqual(4 * kv.capacity);
    const chosen = plan(sharedGpuOf(24, 23.5), { maxSequences: 2, maxModelLength: 16_384 }).kv;
    expect(chosen).toMatchObject({ slotCount: 2, capacity: 16_384, pages: { count: 3 } });
  });

  test("where the driver refuses so many addresses (WSL2), each slot has its own memory", () => {
    const asked: number[] = [];
    const gpu = { ...makeGpu(80), canReserve: (byteLength: number) => asked.push(byteLength) === 0 };
    const { kv } = plan({ kind: "cuda", gpu });

    expect(asked).toEqual([(32 + 64) * 131_072 * perToken.bf16, 32 * 131_072 * perToken.bf16]);
    expect(kv.pages).toBeUndefined();
    expect(kv.slotCount * kv.capacity).toBeGreaterThan(900_000);
  });

  test("an int8 cache is not shared: it is written out whole", () => {
    const { kv } = plan(sharedGpuOf(80), { kvCacheType: "int8" });

    expect(kv.pages).toBeUndefined();
    expect(kv.slotCount).toBe(16);
  });

  test("the start says so", () => {
    const { context } = describeMemory(plan(sharedGpuOf(80)), { config, settings: int4 });

    expect(context).toMatch(/^32 sequences of up to 131072 tokens, \d+ in total; KV cache \d+\.\d GiB \(56\.0 KiB per token, bfloat16\)$/);
  });
});

describe("on a CPU", () => {
  const cpu = { kind: "cpu" } as const;

  test("the KV cache takes half of what is left", () => {
    const { kv, workspaceBytes: workspace } = plan(cpu, {}, 64 * gibibyte);

    const left = 64 * gibibyte - weightBytes - workspace;
    expect(kv.bytes).toBeLessThanOrEqual(left / 2);
    expect(left / 2 - kv.bytes).toBeLessThan(kv.pages!.tokens * perToken.bf16);
  });

  test("slots share it in pages of 64 KiB for each head, so that one may have it all", () => {
    const { kv } = plan(cpu, {}, 24 * gibibyte);

    expect(kv.pages!.tokens).toBe(65_536 / (128 * 2));
    expect(kv).toMatchObject({ slotCount: 16, capacity: kv.pages!.count * kv.pages!.tokens });
    const large = plan(cpu, {}, 512 * gibibyte).kv;
    expect(large).toEqual({ slotCount: 16, spareSlotCount: 19, capacity: 131_072, bytes: 35 * 131_072 * perToken.bf16 });
  });

  test("too little memory is refused with the numbers", () => {
    expect(() => plan(cpu, {}, 12 * gibibyte)).toThrow(
      /^not enough memory: the model needs 1\d\.\d GiB .* plus a KV cache of at least 56\.0 MiB, but this machine has only 12\.0 GiB available; stop other programs$/,
    );
  });

  test("within a container, its limit is named as what leaves too little", () => {
    expect(() => plan(cpu, {}, 12 * gibibyte, 16 * gibibyte)).toThrow(
      / plus a KV cache of at least 56\.0 MiB, but of its memory limit of 16\.0 GiB only 12\.0 GiB is left; raise the limit \(docker run --memory, MemoryMax=\)$/,
    );
  });

  test("weights that could be smaller are advised to be", () => {
    const wishes = { kvCacheType: "auto", gpuMemoryUtilization: 0.9, maxModelLength: undefined, maxSequences: undefined } as const;
    const settings = { weights: "fp32", activations: "fp32" } as const;
    const planFp32 = () =>
      planMemory(
        { config, settings, weightBytes: 110 * gibibyte },
        cpu,
        { ...wishes, prefillChunkTokens: 512 },
        { bytes: gibibyte, limitBytes: undefined },
      );

    expect(planFp32).toThrow(/; use --weights int4, or stop other programs$/);
  });
});

test("the start says how many sequences are kept for a next turn where each has memory of its own", () => {
  const { context } = describeMemory(plan(gpuOf(80), { maxModelLength: 4096, maxSequences: 8 }), { config, settings: int4 });
  expect(context).toMatch(/^8 sequences × 4096 tokens \(of 131072\), plus 64 kept for follow-up turns; KV cache 15\.8 GiB /);
});

test.each<[string, ComputeDevice, Partial<MemoryWishes>, number, RegExp | undefined]>([
  [
    "a GPU of 24 GB",
    sharedGpuOf(23.3, 22.8),
    {},
    0,
    /\(up to 6177 tokens\) may not fit; raise --gpu-memory-utilization, or lower --max-num-seqs, or use --kv-cache-dtype int8$/,
  ],
  [
    "the same with an int8 cache",
    sharedGpuOf(22.5, 22),
    { kvCacheType: "int8" },
    0,
    /may not fit; raise --gpu-memory-utilization, or lower --max-num-seqs$/,
  ],
  ["a CPU", { kind: "cpu" }, {}, 19.6 * gibibyte, /may not fit; stop other programs, or lower/],
  ["a context that the operator chose", sharedGpuOf(23.3, 22.8), { maxModelLength: 1024 }, 0, undefined],
  ["a larger GPU", sharedGpuOf(32), {}, 0, undefined],
])("the start says how to get a context that holds the largest picture: %s", (_, device, wishes, hostBytes, expected) => {
  const { advice } = describeMemory(plan(device, wishes, hostBytes), { config, settings: int4 });
  if (expected) expect(advice).toMatch(expected);
  else expect(advice).toBeUndefined();
});

test("the budget is shown: weights by kind, slots and their length, bytes a token, and the sum", () => {
  expect(describeMemory(plan(gpuOf(80)), { config, settings: int4 })).toEqual({
    weights: expect.stringMatching(/^17\.0 GiB: experts 1\d\.\d GiB, vision .*, embedding and LM head .*, attention .*, other/),
    context: expect.stringMatching(/^\d+ sequences × \d+ tokens \(of 131072\); KV cache \d+\.\d GiB \(56\.0 KiB per token, bfloat16\)$/),
    memory: expect.stringMatching(
      /^\d+\.\d GiB of 71\.5 GiB available: 17\.0 GiB weights, .* KV cache, 2\.0 GiB workspace \(pictures 1\.3 GiB, steps 370\.8 MiB, sampling 52\.1 MiB, features 256\.0 MiB\)$/,
    ),
  });
});
