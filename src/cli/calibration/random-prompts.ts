// Prompts for models with random weights: random token ids, and a noise picture in three of four prompts.

import type { ModelConfig } from "../../core/model-config.ts";
import { spanLength, type EncodedPrompt, type ImagePatches } from "../../core/prompt.ts";
import { randomUnit } from "../../model/draw-token.ts";
import { assignPositions, type PromptRun } from "../../vision/positions.ts";

/** Tokens of a prompt, not counting its picture. */
export const randomTextLength = 64;
/** Sides of the pictures in patches. */
const patchSides = [8, 16, 24];
/** Control tokens come first in every vocabulary. */
const firstOrdinaryId = 20;

/** The same config and count give the same prompts. */
export function randomPrompts(config: ModelConfig, count: number): EncodedPrompt[] {
  return Array.from({ length: count }, (_, i) => randomPrompt(config, i));
}

function randomPrompt({ text, vision, tokens }: ModelConfig, seed: number): EncodedPrompt {
  let drawn = 0;
  const below = (limit: number) => Math.floor(randomUnit(seed, drawn++) * limit);
  const ids = Array.from({ length: randomTextLength }, () => firstOrdinaryId + below(text.vocabSize - firstOrdinaryId));
  if (seed % 4 === 0) return encoded(ids, [], [{ type: "text", length: ids.length }], tokens);

  const side = patchSides[below(patchSides.length)]!;
  const patches = randomPatches(side * side, vision.patchSize ** 2, below);
  const image: ImagePatches = { hash: `noise ${seed}`, patches, frameCount: 1, patchRows: side, patchColumns: side };
  const length = spanLength(image);
  const start = randomTextLength / 2 + 1;
  const withPicture = [...ids.slice(0, start - 1), tokens.imageStart, ...Array<number>(length).fill(tokens.image), tokens.imageEnd];
  const runs: PromptRun[] = [
    { type: "text", length: start },
    { type: "vision", frameCount: 1, patchRows: side, patchColumns: side },
    { type: "text", length: randomTextLength - start + 2 },
  ];
  return encoded([...withPicture, ...ids.slice(start - 1)], [{ start, length, image }], runs, tokens);
}

/** [patches, 3, pixels]: each patch has its own colour, plus grain. With noise alone, all patches would look alike to the vision tower. */
function randomPatches(patchCount: number, pixelCount: number, below: (limit: number) => number): Uint8Array {
  const patches = new Uint8Array(patchCount * 3 * pixelCount);
  for (let channel = 0; channel < 3 * patchCount; channel++) {
    const level = below(192);
    for (let i = 0; i < pixelCount; i++) patches[channel * pixelCount + i] = level + below(64);
  }
  return patches;
}

function encoded(
  ids: readonly number[],
  spans: EncodedPrompt["spans"],
  runs: readonly PromptRun[],
  { image, imageStart, imageEnd }: ModelConfig["tokens"],
): EncodedPrompt {
  const visionIds = new Set([image, imageStart, imageEnd]);
  return {
    tokenIds: Int32Array.from(ids),
    ...assignPositions(runs),
    visionExpert: Uint8Array.from(ids, (id) => (visionIds.has(id) ? 1 : 0)),
    spans,
  };
}
