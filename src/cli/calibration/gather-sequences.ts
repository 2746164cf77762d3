// What a calibration records: prompts with the model's own answers, until there are enough tokens.

import { RequestError, UserError } from "../../core/errors.ts";
import type { EncodedPrompt } from "../../core/prompt.ts";
import type { CalibrationChat } from "./calibration-chat.ts";
import { slotCount, type CalibrationRun, type ProbeModel } from "./probe-model.ts";
import { randomPrompts, randomTextLength } from "./random-prompts.ts";

/** Enough for the covariance of a few thousand columns. More would gain little: quantization.md. */
export const calibrationTokens = 8192;
const maxAnswerTokens = 96;

/** How often a prompt is answered anew when there are few of them. */
const maxRounds = 4;

/** "random": for weights that are random too, so that language would mean nothing to them. */
export type CalibrationPrompts = readonly CalibrationChat[] | "random";

/**
 * Sequences of about `calibrationTokens` in all, fewer where the prompts are few: chats that end with an answer as they are, all others
 * with answers of the model. Throws a UserError for a chat that the model cannot take.
 */
export async function gatherSequences(model: ProbeModel, prompts: CalibrationPrompts, run: CalibrationRun): Promise<EncodedPrompt[]> {
  const { answered, asked } = await encodePrompts(model, prompts);
  const sequences = [...answered];
  const tokenCount = () => sequences.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  for (let round = 0; round < maxRounds; round++) {
    for (let first = 0; first < asked.length && tokenCount() < calibrationTokens; first += slotCount) {
      sequences.push(...(await model.answer(asked.slice(first, first + slotCount), maxAnswerTokens, run)));
    }
  }
  return cut(sequences);
}

type EncodedPrompts = { readonly answered: readonly EncodedPrompt[]; readonly asked: readonly EncodedPrompt[] };

async function encodePrompts(model: ProbeModel, prompts: CalibrationPrompts): Promise<EncodedPrompts> {
  if (prompts === "random") {
    return { answered: [], asked: randomPrompts(model.manifest.config, Math.ceil(calibrationTokens / randomTextLength)) };
  }
  const encode = model.createChatEncoder();
  const encoded: { readonly isAnswered: boolean; readonly prompt: EncodedPrompt }[] = [];
  for (const { chat, place } of prompts) {
    encoded.push({ isAnswered: chat.messages.at(-1)!.role === "assistant", prompt: await encodeAt(place, () => encode(chat)) });
  }
  const pick = (isAnswered: boolean) => encoded.filter((item) => item.isAnswered === isAnswered).map(({ prompt }) => prompt);
  return { answered: pick(true), asked: pick(false) };
}

async function encodeAt(place: string, encode: () => Promise<EncodedPrompt>): Promise<EncodedPrompt> {
  try {
    return await encode();
  } catch (error) {
    if (error instanceof RequestError) throw new UserError(`${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** As many sequences as it takes to reach `calibrationTokens`. */
function cut(sequences: readonly EncodedPrompt[]): EncodedPrompt[] {
  let tokenCount = 0;
  return sequences.filter(({ tokenIds }) => {
    const isWanted = tokenCount < calibrationTokens;
    tokenCount += tokenIds.length;
    return isWanted;
  });
}
