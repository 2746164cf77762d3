// Compares a converted checkpoint with the reference, stage by stage.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "../../src/core/manifest.ts";
import { assignPositions, type PromptRun } from "../../src/vision/positions.ts";
import { Inspection, type Stages } from "./inspection.ts";
import { loadVisual } from "./load-visual.ts";
import type { ReferenceCase, ReferenceFolder } from "./reference-case.ts";

/** `measured` against `limit`; `rule` says which way. */
export type Finding = {
  readonly stage: string;
  readonly measure: "largest difference" | "relative error" | "experts that differ" | "share of equal choices" | "ids that differ";
  readonly measured: number;
  readonly limit: number;
  readonly passed: boolean;
};

const stageOrder = ["vision_tower", "resampler", "inputs_embeds", "hidden", "router.probs", "router.weights", "logits"];

/**
 * Quantized weights change every value and flip experts with close scores, so the reference's tolerances (for fp32) do not apply. Instead,
 * ‖ours − reference‖ / ‖reference‖ over all cases is limited to about 1.5 times the worst of tiny-a, tiny-b and tiny-c (int4-all: of tiny-a),
 * whose random weights have no structure that would survive rounding. A swapped nibble or a wrong layout gives 0.9 or more.
 */
const quantizedLimits = {
  int8: { decoder: 0.17, top1: 0.8 },
  int4: { decoder: 0.29, top1: 0.7 },
  "int4-all": { decoder: 0.39, top1: 0.4 },
};
/** The same limits for the vision tower: in half precision, and in int8 (of tiny-a), which our own operators use. */
const visionLimits = { half: 0.001, int8: 0.03 };

/** Worst finding of each stage over all cases. */
export function compareStages(folder: string, manifest: Manifest, reference: ReferenceFolder): Finding[] {
  const inspection = new Inspection(folder, manifest);
  const runs = reference.cases.map((item) => ({ item, stages: inspection.run(item.prompt) }));
  const { weights, activations, experts } = manifest.settings;
  if (weights === "fp32") return [...exactFindings(runs), expertFinding(runs)];
  const vision = visionLimits[experts === "modality-moe" && activations === "fp32" ? "int8" : "half"];
  return relativeFindings(runs, { ...quantizedLimits[weights], vision });
}

/**
 * Compares the logits of prompts computed in chunks with those of whole prompts. With quantized weights, ONNX Runtime's kernels for a single
 * token round activations differently from those for many, which moves the logits by 2e-2 (tiny-a, tiny-b), a tenth of the quantization error.
 * In larger chunks (6e-3 at most) only experts with close scores may flip. A wrong position or cache entry gives about 1.
 */
export function compareChunks(folder: string, manifest: Manifest, { cases }: ReferenceFolder): Finding[] {
  const inspection = new Inspection(folder, manifest);
  const whole = cases.map(({ prompt }) => inspection.logits(prompt));
  const isExact = manifest.settings.weights === "fp32";
  return [1, 7, 64].map((chunkTokens) => {
    const sum = { difference: 0, norm: 0 };
    cases.forEach(({ prompt }, i) => addDifference(sum, inspection.logits(prompt, chunkTokens), whole[i]!));
    const measured = Math.sqrt(sum.difference / sum.norm);
    const limit = isExact ? 1e-5 : chunkTokens === 1 ? 0.04 : 0.015;
    return { stage: `logits, chunks of ${chunkTokens}`, measure: "relative error", measured, limit, passed: measured <= limit };
  });
}

export type Run = { readonly item: Pick<ReferenceCase, "tensors" | "tolerance">; readonly stages: Stages };

/** Without the chosen experts, which `expertFinding` compares. */
function* pairs(run: Run): Generator<{ stage: string; tensor: string; ours: ArrayLike<number>; theirs: ArrayLike<number> }> {
  for (const [tensor, { data }] of run.item.tensors) {
    const stage = tensor.replace(/\.layer\d+/, "");
    if (!stageOrder.includes(stage)) continue;
    const ours = run.stages.get(tensor) ?? []; // a missing tensor must not pass as equal
    yield { stage, tensor, ours: tensor === "logits" ? atStoredPositions(ours, run.item) : ours, theirs: data as Float32Array };
  }
}

/** A long case stores the logits of some positions only. */
function atStoredPositions(logits: ArrayLike<number>, { tensors }: Run["item"]): ArrayLike<number> {
  const positions = tensors.get("logits_positions");
  if (!positions) return logits;
  const vocabSize = tensors.get("logits")!.shape[1]!;
  const rows = Array.from(positions.data as Int32Array, (row) => (logits as Float32Array).subarray(row * vocabSize, (row + 1) * vocabSize));
  return Float32Array.from(rows.flatMap((row) => [...row]));
}

/** The worst difference of each stage, as a multiple of what is allowed. */
export function exactFindings(runs: readonly Run[]): Finding[] {
  const worst = new Map<string, { measured: number; limit: number }>();
  for (const run of runs) {
    for (const { stage, tensor, ours, theirs } of pairs(run)) {
      const measured = largestDifference(ours, theirs);
      const limit = run.item.tolerance(tensor);
      const known = worst.get(stage);
      if (!known || measured / limit > known.measured / known.limit) worst.set(stage, { measured, limit });
    }
  }
  return stageOrder.flatMap((stage) => {
    const found = worst.get(stage);
    return found ? [{ stage, measure: "largest difference" as const, ...found, passed: found.measured <= found.limit }] : [];
  });
}

/** Choices are compared as sets: an order swap inside the set is harmless. */
function expertFinding(runs: readonly Run[]): Finding {
  let differing = 0;
  for (const { item, stages } of runs) {
    for (const [tensor, { data, shape }] of item.tensors) {
      const ours = stages.get(tensor);
      if (!ours || !tensor.endsWith(".selected")) continue;
      const [tokens, topK] = shape as [number, number];
      for (let token = 0; token < tokens; token++) {
        const range = [token * topK, (token + 1) * topK] as const;
        const mine = new Set((ours as Int32Array).subarray(...range));
        for (const expert of (data as Int32Array).subarray(...range)) if (!mine.has(expert)) differing++;
      }
    }
  }
  return { stage: "router.selected", measure: "experts that differ", measured: differing, limit: 0, passed: differing === 0 };
}

function relativeFindings(runs: readonly Run[], limits: { vision: number; decoder: number; top1: number }): Finding[] {
  const sums = new Map<string, { difference: number; norm: number }>();
  let equal = 0;
  let rowCount = 0;
  for (const run of runs) {
    for (const { stage, ours, theirs } of pairs(run)) {
      const sum = sums.get(stage) ?? { difference: 0, norm: 0 };
      addDifference(sum, ours, theirs);
      sums.set(stage, sum);
      if (stage !== "logits") continue;
      const vocabSize = run.item.tensors.get("logits")!.shape[1]!;
      for (let start = 0; start < theirs.length; start += vocabSize, rowCount++) {
        if (argmax(ours, start, vocabSize) === argmax(theirs, start, vocabSize)) equal++;
      }
    }
  }
  const compared = stageOrder.filter((stage) => !stage.startsWith("router"));
  const findings = compared.flatMap((stage): Finding[] => {
    const sum = sums.get(stage);
    if (!sum) return [];
    const measured = Math.sqrt(sum.difference / sum.norm);
    const limit = stage === "vision_tower" || stage === "resampler" ? limits.vision : limits.decoder;
    return [{ stage, measure: "relative error", measured, limit, passed: measured <= limit }];
  });
  const share = equal / rowCount;
  return [
    ...findings,
    { stage: "most probable token", measure: "share of equal choices", measured: share, limit: limits.top1, passed: share >= limits.top1 },
  ];
}

function addDifference(sum: { difference: number; norm: number }, ours: ArrayLike<number>, theirs: ArrayLike<number>): void {
  for (let i = 0; i < theirs.length; i++) {
    sum.difference += (ours[i]! - theirs[i]!) ** 2;
    sum.norm += theirs[i]! ** 2;
  }
}

/** Compares our preprocessing: pixels and positions from the picture files. */
export async function compareInputs(reference: ReferenceFolder, folder: string, manifest: Manifest): Promise<Finding[]> {
  let pixels = 0;
  let positions = 0;
  for (const { segments, prompt } of reference.cases) {
    const delimiter: PromptRun = { type: "text", length: 1 };
    const runs = segments.flatMap((segment): PromptRun[] => {
      if (segment.type === "text") return [{ type: "text", length: segment.tokens }];
      const [frameCount, patchRows, patchColumns] = segment.grid_thw;
      return [delimiter, { type: "vision", frameCount, patchRows, patchColumns }, delimiter];
    });
    const ours = assignPositions(runs);
    positions = Math.max(
      positions,
      largestDifference([...ours.positions, ours.positionDelta], [...prompt.positions, prompt.positionDelta]),
    );
    const visual = segments.filter((segment) => segment.type !== "text");
    for (const [i, segment] of visual.entries()) {
      const files = segment.type === "image" ? [segment.file] : segment.files;
      const bytes = files.map((file) => readFileSync(join(folder, "images", file)));
      const patches = await loadVisual(bytes, manifest.config.image, files[0]!);
      pixels = Math.max(pixels, largestDifference(patches.patches, prompt.spans[i]!.image.patches));
    }
  }
  const exact = (stage: string, measured: number): Finding => ({
    stage,
    measure: "largest difference",
    measured,
    limit: 0,
    passed: measured === 0,
  });
  return [exact("pixel_u8", pixels), exact("position_ids", positions)];
}

/** Infinity if lengths differ or a value is NaN, so that no comparison passes by accident. */
export function largestDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  if (ours.length !== theirs.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs(ours[i]! - theirs[i]!);
    if (Number.isNaN(difference)) return Infinity;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** The index, from `start` on, of the largest of `count` values. */
export function argmax(values: ArrayLike<number>, start: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[start + i]! > values[start + best]!) best = i;
  return best;
}
