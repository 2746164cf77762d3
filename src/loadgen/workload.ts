// The prompts of a load, random or from a file, and the bodies of the requests.

import { UserError } from "../core/errors.ts";
import type { Conversation, Message } from "./dataset.ts";
import { type CountTokens, textOfTokens } from "./random-text.ts";
import { SeededRandom } from "./seeded-random.ts";
import { syntheticImage } from "./synthetic-image.ts";

export type SyntheticPrompts = {
  /** Length of each prompt's own text, without prefix, pictures and chat template. */
  readonly inputTokens: number;
  /** Length of a text that all prompts begin with. */
  readonly prefixTokens: number;
  readonly imagesPerRequest: number;
  readonly imageWidth: number;
  readonly imageHeight: number;
};

/** How the number of tokens of a text is determined. */
export type TextSizing = { readonly tokensPerWord: number; readonly count?: CountTokens };

export type AnswerSettings = {
  readonly endpoint: "chat" | "completions";
  readonly outputTokens: number;
  /** False: answers have exactly `outputTokens`; the end-of-sequence token is ignored. */
  readonly respectsEnd: boolean;
  readonly thinking: boolean | undefined;
  readonly temperature: number;
};

/** Prompts that are generated, and counted by the server, at the same time. */
const countConcurrency = 8;

/** Conversation i depends on the seed only, not on how many are generated. */
export async function makeConversations(
  wanted: number,
  prompts: SyntheticPrompts,
  sizing: TextSizing,
  seed: number,
): Promise<Conversation[]> {
  const { tokensPerWord, count } = sizing;
  const prefix = await textOfTokens(new SeededRandom(seed, -3), prompts.prefixTokens, tokensPerWord, count);
  const conversations: Conversation[] = [];
  let next = 0;
  async function work(): Promise<void> {
    while (next < wanted) {
      const index = next++;
      const random = new SeededRandom(seed, index);
      const own = await textOfTokens(random, prompts.inputTokens, tokensPerWord, count);
      const text = [prefix, own].filter((part) => part !== "").join(" ");
      conversations[index] = { messages: [{ role: "user", content: await withImages(text, prompts, random) }] };
    }
  }
  await Promise.all(Array.from({ length: countConcurrency }, work));
  return conversations;
}

async function withImages(text: string, { imagesPerRequest, imageWidth, imageHeight }: SyntheticPrompts, random: SeededRandom) {
  if (imagesPerRequest === 0) return text;
  const parts: object[] = [];
  for (let i = 0; i < imagesPerRequest; i++) {
    parts.push({ type: "image_url", image_url: { url: await syntheticImage(random, imageWidth, imageHeight) } });
  }
  return [...parts, { type: "text", text }];
}

export function requestPath({ endpoint }: AnswerSettings): string {
  return endpoint === "chat" ? "/v1/chat/completions" : "/v1/completions";
}

/** The body of a streamed request with usage. Throws a UserError if a text completion would need more than one text. */
export function requestBody(conversation: Conversation, model: string, settings: AnswerSettings): object {
  const { endpoint, respectsEnd, thinking, temperature } = settings;
  const maxTokens = conversation.maxTokens ?? settings.outputTokens;
  return {
    model,
    ...(endpoint === "chat" ? { messages: conversation.messages } : { prompt: onlyText(conversation.messages) }),
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: maxTokens,
    temperature,
    ...(!respectsEnd && { ignore_eos: true, min_tokens: maxTokens }),
    ...(thinking !== undefined && { chat_template_kwargs: { enable_thinking: thinking } }),
  };
}

function onlyText(messages: readonly Message[]): string {
  const content = messages[0]?.content;
  if (messages.length === 1 && typeof content === "string") return content;
  throw new UserError("--endpoint completions takes one text per request; pictures and conversations need --endpoint chat");
}
