// Encodes the prompts of a calibration before any other work, so that faulty prompts are reported at once.

import { RequestError, UserError } from "../../core/errors.ts";
import type { ModelConfig } from "../../core/model-config.ts";
import type { EncodedPrompt } from "../../core/prompt.ts";
import { createPromptEncoder } from "../prompt-encoder.ts";
import type { CalibrationChat } from "./calibration-chat.ts";
import { calibrationContextLength } from "./probe-model.ts";
import { randomPrompts, randomTextLength } from "./random-prompts.ts";

/** Enough to estimate the covariance of a few thousand columns. */
export const calibrationTokens = 8192;

/** "random" is for models with random weights, to which language means nothing. */
export type CalibrationPrompts = readonly CalibrationChat[] | "random";

export type EncodedPrompts = {
  /** Prompts for the model to answer. */
  readonly asked: readonly EncodedPrompt[];
  /** Chats that end with an answer. */
  readonly answered: readonly EncodedPrompt[];
};

/**
 * Encodes prompts, in order, until there are `calibrationTokens`. `folder` holds tokenizer and template. Throws a UserError that names the
 * chat that the model cannot take, and the reason.
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
