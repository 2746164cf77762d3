// A folder made by shared/reference/make_reference.py: its cases as prompts for our engine, with the expected values.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { spanLength, type EncodedPrompt, type ImagePatches, type VisionSpan } from "../../src/core/prompt.ts";
import { readSafetensors, type TestTensor } from "../../test/reference/read-safetensors.ts";

type Segment =
  | { readonly type: "text"; readonly tokens: number }
  | { readonly type: "image"; readonly file: string; readonly grid_thw: readonly [number, number, number]; readonly tokens: number }
  | {
      readonly type: "video";
      readonly files: readonly string[];
      readonly grid_thw: readonly [number, number, number];
      readonly tokens: number;
    };

export type ReferenceCase = {
  readonly name: string;
  readonly segments: readonly Segment[];
  readonly tensors: ReadonlyMap<string, TestTensor>;
  /** Largest absolute difference allowed for each tensor. */
  readonly tolerance: (tensor: string) => number;
  readonly prompt: EncodedPrompt;
};

type ManifestCase = {
  readonly file: string;
  readonly segments: readonly Segment[];
  readonly tensors: Readonly<Record<string, { readonly atol: number }>>;
};

export type ReferenceFolder = {
  readonly preprocessing: { readonly min_pixels: number; readonly max_pixels: number };
  readonly cases: readonly ReferenceCase[];
};

/** Throws what reading a missing or broken file throws. */
export function readReference(folder: string): ReferenceFolder {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as {
    preprocessing: ReferenceFolder["preprocessing"];
    cases: Record<string, ManifestCase>;
  };
  const cases = Object.entries(manifest.cases).map(([name, entry]): ReferenceCase => {
    const tensors = readSafetensors(join(folder, entry.file));
    const tolerance = (tensor: string) => entry.tensors[tensor]!.atol;
    return { name, segments: entry.segments, tensors, tolerance, prompt: toPrompt(name, entry.segments, tensors) };
  });
  return { preprocessing: manifest.preprocessing, cases };
}

/** Tokens of a segment in the prompt: a picture's or video's count leaves out its start and end delimiters. */
function segmentLength(segment: Segment): number {
  return segment.type === "text" ? segment.tokens : segment.tokens + 2;
}

function toPrompt(name: string, segments: readonly Segment[], tensors: ReadonlyMap<string, TestTensor>): EncodedPrompt {
  const values = (tensor: string) => Int32Array.from(tensors.get(tensor)!.data as Int32Array);
  const spans: VisionSpan[] = [];
  let start = 0;
  let firstPatch = 0;
  for (const [index, segment] of segments.entries()) {
    if (segment.type !== "text") {
      const [frameCount, patchRows, patchColumns] = segment.grid_thw;
      const { data, shape } = tensors.get("pixel_u8")!;
      const patchCount = frameCount * patchRows * patchColumns;
      const patches = (data as Uint8Array).slice(firstPatch * shape[1]!, (firstPatch + patchCount) * shape[1]!);
      firstPatch += patchCount;
      const image: ImagePatches = { hash: `${name}.${index}`, patches, frameCount, patchRows, patchColumns };
      spans.push({ start: start + 1, length: spanLength(image), image });
    }
    start += segmentLength(segment);
  }
  return {
    tokenIds: values("input_ids"),
    positions: values("position_ids"),
    positionDelta: values("rope_delta")[0]!,
    visionExpert: Uint8Array.from(values("moe_mm_token_type_ids"), (type) => (type === 0 ? 0 : 1)),
    spans,
  };
}
