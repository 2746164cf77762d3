// OpenAI's request in our words: messages to Chat, sampling fields to GenerationOptions.

import { randomInt } from "node:crypto";
import type { Chat, ChatMessage, ContentPart, GenerationOptions, ImagePart } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { GenerationDefaults, RequestLimits } from "./app-options.ts";
import { decodeDataUri } from "./data-uri.ts";
import type { ChatRequest, RequestMessage } from "./openai-schema.ts";
import { describe } from "./schema-fields.ts";
import { toToolUse } from "./tool-schema.ts";

/** `detail: "low"`: at most 256 tokens of 28 × 28 pixels, a picture of about 448 × 448. */
const lowDetailPixels = 256 * 28 * 28;

/** Below this, dividing logits by the temperature leaves float32's range; the draw is greedy anyhow. */
const smallestTemperature = 1e-5;

type Part = Exclude<RequestMessage["content"], string | undefined>[number];
type RequestImage = Extract<Part, { type: "image_url" }>["image_url"];

/** Throws RequestError when a picture cannot be taken from the request. */
export function toChat(request: ChatRequest, defaultThinking: boolean, limits: RequestLimits): Chat {
  let imageCount = 0;
  const countImage = (param: string) => {
    imageCount++;
    if (imageCount > limits.imageCount) {
      throw new RequestError(`${param}: expected at most ${limits.imageCount} pictures in one request, got more; send fewer`, {
        code: "too_many_images",
        param,
      });
    }
  };
  const toPart = (part: Part, path: string): ContentPart => {
    if (part.type === "text") return part;
    countImage(`${path}.image_url`);
    return toImagePart(part.image_url, `${path}.image_url`, limits.imageBytes);
  };
  const toolUse = toToolUse(request);
  return {
    messages: request.messages.map((message, index) => toChatMessage(message, `messages[${index}]`, toPart)),
    thinking: (wantsThinking(request) ?? defaultThinking) && thinkingBudget(request) !== 0,
    ...(toolUse && { toolUse }),
  };
}

function toChatMessage(message: RequestMessage, path: string, toPart: (part: Part, path: string) => ContentPart): ChatMessage {
  const parts = typeof message.content === "string" ? [{ type: "text" as const, text: message.content }] : (message.content ?? []);
  const content = parts.map((part, index) => toPart(part, `${path}.content[${index}]`));
  if (message.role === "tool") return { role: "tool", content, toolCallId: message.tool_call_id };
  if (message.role !== "assistant") return { role: message.role === "user" ? "user" : "system", content };
  const reasoning = message.reasoning_content ?? message.reasoning;
  const toolCalls = message.tool_calls?.map(({ id, function: { name, arguments: args } }) => ({ id, name, arguments: args })) ?? [];
  return { role: "assistant", content, ...(reasoning !== undefined && { reasoning }), ...(toolCalls.length > 0 && { toolCalls }) };
}

function toImagePart(image: RequestImage, path: string, maxBytes: number): ImagePart {
  const { url, detail } = typeof image === "string" ? { url: image, detail: undefined } : image;
  const param = typeof image === "string" ? path : `${path}.url`;
  const scheme = /^\s*([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== "data") throw notADataUri(url, scheme, param);
  return {
    type: "image",
    bytes: decodeDataUri(url, param, maxBytes),
    ...(detail === "low" && { maxPixels: lowDetailPixels }),
    param,
  };
}

function notADataUri(url: string, scheme: string | undefined, param: string): RequestError {
  const expected = `${param}: expected a data URI such as data:image/png;base64,…`;
  const options = { code: "invalid_image_url", param };
  if (scheme === "http" || scheme === "https") {
    return new RequestError(`${expected}, got ${scheme}:; remote images are not allowed on this server, send the picture itself`, options);
  }
  if (scheme === "file") {
    return new RequestError(`${expected}, got file:; files of the server are not allowed, send the picture itself`, options);
  }
  return new RequestError(`${expected}, got ${describe(url)}`, options);
}

/** The one thinking switch behind its spellings, the most specific first; undefined when none is given. */
function wantsThinking(request: ChatRequest): boolean | undefined {
  const { chat_template_kwargs: kwargs, metadata, reasoning_effort: effort } = request;
  const mode = kwargs?.options?.thinking_mode;
  const byMetadata = metadata?.enable_thinking;
  return (
    kwargs?.enable_thinking ??
    (mode && mode === "open") ??
    request.enable_thinking ??
    (typeof byMetadata === "string" ? byMetadata === "true" : byMetadata) ??
    (effort && effort !== "none")
  );
}

/** FastDeploy's name, then vLLM's. 0 is no thinking at all. */
function thinkingBudget(request: ChatRequest): number | undefined {
  return request.reasoning_max_tokens ?? request.thinking_token_budget;
}

/** `clientSalt` keeps clients apart; with `cache_salt`, a client keeps its own users apart. */
export function toGenerationOptions(request: ChatRequest, defaults: GenerationDefaults, clientSalt?: string): GenerationOptions {
  const temperature = request.temperature ?? defaults.temperature ?? 1;
  const { stop, cache_salt: salt } = request;
  const biases = Object.entries(request.logit_bias ?? {}).map(([tokenId, bias]) => [Number(tokenId), bias] as const);
  const salts = [clientSalt, salt].filter((part) => part !== undefined);
  return {
    sampling: {
      temperature: temperature < smallestTemperature ? 0 : temperature,
      topP: request.top_p ?? defaults.topP ?? 1,
      topK: Math.max(0, request.top_k ?? defaults.topK ?? 0),
      minP: request.min_p ?? 0,
      repetitionPenalty: request.repetition_penalty ?? defaults.repetitionPenalty ?? 1,
      presencePenalty: request.presence_penalty ?? 0,
      frequencyPenalty: request.frequency_penalty ?? 0,
      ...(biases.length > 0 && { logitBias: biases }),
      seed: request.seed === undefined ? randomInt(2 ** 47) : foldSeed(request.seed),
    },
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    minTokens: request.min_tokens || undefined,
    logprobCount: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    stopStrings: stop === undefined ? [] : typeof stop === "string" ? [stop] : stop,
    choiceCount: request.n ?? 1,
    ...(salts.length > 0 && { cacheSalt: JSON.stringify(salts) }),
    stopTokenIds: request.stop_token_ids ?? [],
    ignoresEndTokens: request.ignore_eos ?? false,
    thinkingBudget: thinkingBudget(request) || undefined,
    spellsSpecials: request.skip_special_tokens === false,
    returnsTokenIds: request.return_token_ids ?? false,
  };
}

/** Any integer to 0 … 2^53 − 1, modulo 2^53. */
function foldSeed(seed: number): number {
  return Number(BigInt.asUintN(53, BigInt(seed)));
}
