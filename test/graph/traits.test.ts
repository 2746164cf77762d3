// Checkpoints with the traits of the 424B and Thinking models, converted, against transformers; fixtures/traits/README.md lists them.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { largestDifference } from "../../scripts/parity/compare.ts";
import { Inspection, type Stages } from "../../scripts/parity/inspection.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import { spanLength, type EncodedPrompt, type ImagePatches } from "../../src/core/prompt.ts";
import { readManifest } from "../../src/model-folder.ts";
import { readSafetensors, type TestTensor } from "../reference/read-safetensors.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const fixtures = fileURLToPath(new URL("../fixtures/traits", import.meta.url));
const work = temporaryFolder();

/** Logits have a standard deviation of 1.9; rounding alone moves ours, and transformers' own, by up to 3e-5. */
const logitTolerance = 5e-4;

type Case = ReadonlyMap<string, TestTensor>;

const integers = (item: Case, name: string): Int32Array => Int32Array.from(item.get(name)!.data as Int32Array);

function toPrompt(item: Case): EncodedPrompt {
  const visionExpert = Uint8Array.from(integers(item, "moe_mm_token_type_ids"));
  const image = readImage(item);
  return {
    tokenIds: integers(item, "input_ids"),
    positions: integers(item, "position_ids"),
    positionDelta: integers(item, "rope_delta")[0]!,
    visionExpert,
    // The start delimiter is the first token for the vision experts.
    spans: image ? [{ start: visionExpert.indexOf(1) + 1, length: spanLength(image), image }] : [],
  };
}

function readImage(item: Case): ImagePatches | undefined {
  if (!item.has("pixel_u8")) return undefined;
  const [frameCount = 0, patchRows = 0, patchColumns = 0] = integers(item, "image_grid_thw");
  return { hash: "image", patches: item.get("pixel_u8")!.data as Uint8Array, frameCount, patchRows, patchColumns };
}

/** Rows of chosen experts, each in ascending order: the order of choice does not matter. */
function choices(selected: ArrayLike<number>, topK: number): number[][] {
  const all = Array.from(selected);
  return Array.from({ length: all.length / topK }, (_, row) => all.slice(row * topK, (row + 1) * topK).toSorted((a, b) => a - b));
}

describe.each([
  { name: "424b", sparseLayers: [2, 3], notes: [] },
  { name: "thinking", sparseLayers: [1, 3], notes: [expect.stringContaining("lm_head.weight differs")] },
])("a checkpoint with the traits of $name", ({ name, sparseLayers, notes }) => {
  const target = join(work, name);
  let manifest: Manifest;
  let inspection: Inspection;
  let told: readonly string[];

  beforeAll(async () => {
    const settings = { weights: "fp32", activations: "fp32" } as const;
    told = await convertCheckpoint(join(fixtures, name), target, { settings, programVersion: "test", inspect: true });
    manifest = readManifest(target);
    inspection = new Inspection(target, manifest);
  });

  test("has experts in the layers that config.json says, an LM head of its own, and notes where the two disagree", () => {
    const { moe, text } = manifest.config;
    expect(moe.sparseLayers.flatMap((isSparse, layer) => (isSparse ? [layer] : []))).toEqual(sparseLayers);
    expect(text.tiedEmbedding).toBe(false);
    expect(told).toEqual(notes);
  });

  describe.each(["text", "image"])("on a prompt of %s", (caseName) => {
    const item = readSafetensors(join(fixtures, name, `${caseName}.safetensors`));
    let stages: Stages;

    beforeAll(() => {
      stages = inspection.run(toPrompt(item));
    });

    test("computes the logits of transformers", () => {
      expect(largestDifference(stages.get("logits")!, item.get("logits")!.data as Float32Array)).toBeLessThan(logitTolerance);
    });

    test.each(sparseLayers)("chooses the experts of transformers in layer %i", (layer) => {
      const key = `router.layer${layer}.selected`;
      const { topK } = manifest.config.moe;

      expect(choices(stages.get(key)!, topK)).toEqual(choices(item.get(key)!.data as Int32Array, topK));
    });
  });
});
