// Gathers the sequences that a calibration records: prompts with the model's own answers, until there are enough tokens.

import type { EncodedPrompt } from "../../core/prompt.ts";
import { calibrationTokens, type EncodedPrompts } from "./encode-prompts.ts";
import { slotCount, type CalibrationRun, type ProbeModel } from "./probe-model.ts";

const maxAnswerTokens = 96;
/** How many times each prompt is answered if there are few prompts. */
const maxRounds = 4;

/** Sequences with about `calibrationTokens` in total, or fewer if there are too few prompts. */
export async function gatherSequences(
  model: ProbeModel,
  { asked, answered }: EncodedPrompts,
  run: CalibrationRun,
): Promise<EncodedPrompt[]> {
  const sequences = [...answered];
  const tokenCount = () => sequences.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  for (let round = 0; round < maxRounds; round++) {
    for (let first = 0; first < asked.length && tokenCount() < calibrationTokens; first += slotCount) {
      sequences.push(...(await model.answer(asked.slice(first, first + slotCount), maxAnswerTokens, run)));
    }
  }
  return cut(sequences);
}

/** The first sequences that together reach `calibrationTokens`. */
function cut(sequences: readonly EncodedPrompt[]): EncodedPrompt[] {
  let tokenCount = 0;
  return sequences.filter(({ tokenIds }) => {
    const isWanted = tokenCount < calibrationTokens;
    tokenCount += tokenIds.length;
    return isWanted;
  });
}
