// The prompts of a calibration as token ids: all that can be wrong with them shows before any work is done.

import { RequestError, UserError } from "../../core/errors.ts";
import type { ModelConfig } from "../../core/model-config.ts";
import type { EncodedPrompt } from "../../core/prompt.ts";
import { createPromptEncoder } from "../prompt-encoder.ts";
import type { CalibrationChat } from "./calibration-chat.ts";
import { calibrationContextLength } from "./probe-model.ts";
import { randomPrompts, randomTextLength } from "./random-prompts.ts";

/** Enough for the covariance of a few thousand columns. */
export const calibrationTokens = 8192;

/** "random": for weights that are random too, so that language would mean nothing to them. */
export type CalibrationPrompts = readonly CalibrationChat[] | "random";

export type EncodedPrompts = {
  /** They want an answer. */
  readonly asked: readonly EncodedPrompt[];
  /** Chats that end with an answer. */
  readonly answered: readonly EncodedPrompt[];
};

/**
 * As many of the prompts, from the first on, as it takes to have `calibrationTokens`. `folder` holds tokenizer and template. Throws a
 * UserError that says which chat the model cannot take, and why.
 */
export async function encodePrompts(prompts: CalibrationPrompts, folder: string, config: ModelConfig): Promise<EncodedPrompts> {
  if (prompts === "random") {
    return { asked: randomPrompts(config, Math.ceil(calibrationTokens / randomTextLength)), answered: [] };
  }
  const encode = createPromptEncoder(folder, config, calibrationContextLength(config.text));
  const [asked, answered]: [EncodedPrompt[], EncodedPrompt[]] = [[], []];
  let tokenCount = 0;
  for (const { chat, place } of prompts) {
    if (tokenCount >= calibrationTokens) break;
    const prompt = await encodeAt(place, () => encode(chat));
    (chat.messages.at(-1)!.role === "assistant" ? answered : asked).push(prompt);
    tokenCount += prompt.tokenIds.length;
  }
  return { asked, answered };
}

async function encodeAt(place: string, encode: () => Promise<EncodedPrompt>): Promise<EncodedPrompt> {
  try {
    return await encode();
  } catch (error) {
    if (error instanceof RequestError) throw new UserError(`${place}: ${error.message}`, { cause: error });
    throw error;
  }
}
