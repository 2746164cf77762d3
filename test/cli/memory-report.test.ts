import { statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import {
  activeParameters,
  capacityTable,
  memoryTable,
  parametersByPart,
  sequencesThatFit,
  totalOf,
  weightBytesByPart,
} from "../../src/cli/memory-report.ts";
import { planMemory } from "../../src/cli/memory-plan.ts";
import { defaultMemoryWishes } from "../../src/cli/memory-wishes.ts";
import { imageCacheBytes, workspaceBytes } from "../../src/cli/workspace.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";
import { weightFormats, type ConversionSettings } from "../../src/core/manifest.ts";
import { makeGpu } from "./make-gpu.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const config28b = openSynthetic("28b").config;
const gibibyte = 2 ** 30;

const root = temporaryFolder();

test("the 28B has 29.4 billion parameters, 3.35 billion of them active", () => {
  // model spec, 1.3
  expect(totalOf(parametersByPart(config28b)) / 1e9).toBeCloseTo(29.4, 2);
  expect(activeParameters(config28b) / 1e9).toBeCloseTo(3.35, 2);
});

describe("weightBytesByPart", () => {
  test.each<[string, ConversionSettings]>([
    ...weightFormats.map((weights): [string, ConversionSettings] => [weights, { weights, activations: "fp32" }]),
    ["int4-kernel", { weights: "int4", activations: "fp32", experts: "modality-moe" }],
  ])("%s: the parts add up to the files of a conversion", async (name, settings) => {
    const folder = join(root, name);
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: "0" });

    const planned = totalOf(weightBytesByPart(openSynthetic("nano").config, settings));

    // Tensors start at multiples of 4096 bytes in the files.
    const stored = ["decoder", "vision"].reduce((sum, graph) => sum + statSync(join(folder, `${graph}.onnx.data`)).size, 0);
    const tensorCount = 250;
    expect(stored).toBeGreaterThanOrEqual(planned);
    expect(stored - planned).toBeLessThan(tensorCount * 4096);
  });

  test("unquantized bf16 takes two bytes a parameter, routers four, vision experts their padding", () => {
    const parameters = parametersByPart(config28b);

    const bytes = weightBytesByPart(config28b, { weights: "fp32", activations: "bf16" });

    for (const part of ["text experts", "shared experts", "attention", "dense layers", "embedding", "norms", "resampler"] as const) {
      expect(bytes.get(part), part).toBe(2 * parameters.get(part)!);
    }
    expect(bytes.get("routers")).toBe(4 * parameters.get("routers")!);
    expect(bytes.get("vision experts")).toBe(3 * 2 * parameters.get("vision experts")!); // 1536 / 512
  });
});

const forGpu = { activations: "bf16", experts: "modality-moe" } as const;

describe("sequencesThatFit", () => {
  const workspace = workspaceBytes(config28b, forGpu);

  test("fills what weights, workspace, features of pictures and CUDA leave with KV caches of 56 KiB per token", () => {
    const weightBytes = 16 * gibibyte;
    const room = 3 * 4096 * 56 * 1024;
    const gpuBytes = gibibyte + weightBytes + workspace + imageCacheBytes + room;

    expect(sequencesThatFit(config28b, forGpu, { gpuBytes, weightBytes, length: 4096 })).toBe(3);
    expect(sequencesThatFit(config28b, forGpu, { gpuBytes: gpuBytes - 1, weightBytes, length: 4096 })).toBe(2);
    expect(sequencesThatFit(config28b, forGpu, { gpuBytes, weightBytes, length: 131072 })).toBe(0);
  });

  test("is undefined where the weights do not fit", () => {
    expect(sequencesThatFit(config28b, forGpu, { gpuBytes: 24 * gibibyte, weightBytes: 24 * gibibyte, length: 4096 })).toBeUndefined();
  });
});

describe("tables", () => {
  const settings = [
    { weights: "int4", activations: "bf16" },
    { weights: "fp32", activations: "bf16" },
  ] as const;

  test("name each part of the model once, and line up", () => {
    const lines = memoryTable(config28b, settings);

    expect(lines.filter((line) => line.startsWith("vision experts"))).toHaveLength(1);
    expect(lines.some((line) => line.startsWith("embedding, LM head"))).toBe(true);
    expect(new Set(lines.slice(0, -1).map((line) => line.replace(/\*$/, "").length)).size).toBe(1);
  });

  test("padded vision experts are marked, those of our own kernel have no padding", () => {
    const own = { weights: "int4", activations: "bf16", experts: "modality-moe" } as const;
    const row = (lines: readonly string[]) => lines.find((line) => line.startsWith("vision experts"));

    expect(row(memoryTable(config28b, settings))).toMatch(/\*$/);
    expect(memoryTable(config28b, settings).at(-1)).toMatch(/^\* padded/);
    expect(row(memoryTable(config28b, [own]))).not.toContain("*");
    expect(memoryTable(config28b, [own]).at(-1)).toMatch(/^total /);
  });

  test("an untied LM head is a part of its own", () => {
    const lines = memoryTable(openSynthetic("28b-thinking").config, settings);

    expect(lines.some((line) => line.startsWith("LM head"))).toBe(true);
    expect(lines.some((line) => line.startsWith("embedding,"))).toBe(false);
  });

  test("longer sequences fit less often, and only those the model can have are listed", () => {
    const lines = capacityTable({ ...config28b, text: { ...config28b.text, maxPositions: 32768 } }, settings);

    expect(lines.map((line) => /\b(4|8|32|128)k\b/.exec(line)?.[0])).toEqual([undefined, "4k", "8k", "32k", "4k", "8k", "32k"]);
    const onLargest = lines.slice(1, 4).map((line) => Number(line.split(/\s+/).at(-1)!.replaceAll(",", "")));
    expect(onLargest).toEqual(onLargest.toSorted((a, b) => b - a));
    expect(onLargest[2]).toBeGreaterThan(0);
  });

  test("are as many as a start on such a GPU has room for", () => {
    const settings = { weights: "int4", activations: "bf16", experts: "modality-moe" } as const;
    const weightBytes = totalOf(weightBytesByPart(config28b, settings));
    const [, , , of32k] = capacityTable(config28b, [settings]);

    for (const [column, size] of [24, 48, 80, 141].entries()) {
      const gpu = { ...makeGpu(size, size - 0.5), pageBytes: undefined }; // CUDA's context is there before a start looks
      const wishes = { ...defaultMemoryWishes, prefillChunkTokens: 512 };
      const { usableBytes, workspaceBytes: workspace } = planMemory(
        { config: config28b, settings, weightBytes },
        { kind: "cuda", gpu },
        wishes,
      );
      const fits = Math.floor((usableBytes - workspace - weightBytes) / (32768 * 56 * 1024));
      expect(Number(of32k!.trim().split(/\s+/)[column + 1])).toBe(fits);
    }
  });

  test("a model shorter than all usual lengths is listed with its own", () => {
    const lines = capacityTable({ ...config28b, text: { ...config28b.text, maxPositions: 1000 } }, settings.slice(0, 1));

    expect(lines[1]).toMatch(/ 1000 /);
  });

  test("what does not fit is a dash", () => {
    const lines = capacityTable(config28b, settings);

    // 55 GiB in bf16 are too much for 24 and 48 GB.
    expect(lines[5]).toMatch(/^bf16, .* 4k +– +– /);
  });
});
