// The whole chat request in one function: prompt → engine → events a client understands.

import type { Chat, GenerationOptions } from "../core/chat.ts";
import { EngineError } from "../core/errors.ts";
import type { ChatEvent, GenerationEvent, Usage } from "../core/events.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import type { FinishReason, SamplingParams } from "../core/sampling.ts";
import { encodePrompt, type LoadImage } from "./encode-prompt.ts";
import { OutputParser } from "./output-parser.ts";
import { loadTemplate } from "./template.ts";
import { loadTokenizer } from "./tokenizer.ts";

export type TokenRequest = {
  readonly prompt: EncodedPrompt;
  readonly sampling: SamplingParams;
  readonly maxTokens: number;
  readonly stopTokenIds: readonly number[];
};

/** What chat needs of the engine. */
export type TokenSource = {
  /** Leaving the loop ends the generation as `signal` does; after the signal, the loop throws its reason. */
  submit(request: TokenRequest, signal: AbortSignal): AsyncIterable<GenerationEvent>;
};

export type ChatServiceDeps = {
  /** Holds the tokenizer and template files. */
  readonly modelFolder: string;
  readonly config: Pick<ModelConfig, "tokens">;
  readonly engine: TokenSource;
  readonly loadImage: LoadImage;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
};

export type ChatService = {
  /**
   * `started` first, `finished` last. Throws RequestError when the request is at fault, EngineError when a step failed, and the
   * signal's reason when it aborts. Leaving the loop early ends the generation too.
   */
  complete(chat: Chat, options: GenerationOptions, signal: AbortSignal): AsyncIterable<ChatEvent>;
};

/** Reads tokenizer and template once. Throws UserError when the folder lacks them or they are of an unsupported kind. */
export function createChatService({ modelFolder, config, engine, loadImage, contextLength }: ChatServiceDeps): ChatService {
  const tokenizer = loadTokenizer(modelFolder);
  const encoder = { tokenizer, template: loadTemplate(modelFolder), tokens: config.tokens, loadImage, contextLength };
  // Turns of the history close with it, so an answer may end there too (model spec, 6.2).
  const turnEnd = tokenizer.controlTokenId("<|end_of_sentence|>");
  const endTokenIds = [...new Set([...config.tokens.eos, ...(turnEnd === undefined ? [] : [turnEnd])])];

  async function* complete(chat: Chat, options: GenerationOptions, signal: AbortSignal): AsyncGenerator<ChatEvent, void> {
    const prompt = await encodePrompt(chat, encoder);
    const promptTokens = prompt.tokenIds.length;
    const imageTokens = prompt.spans.reduce((sum, span) => sum + span.length, 0);
    const maxTokens = Math.min(options.maxTokens ?? Infinity, contextLength - promptTokens);
    const output = new OutputParser(tokenizer, { promptTokenIds: prompt.tokenIds, stopStrings: options.stopStrings, endTokenIds });
    let cachedTokens = 0;
    const finished = (reason: FinishReason): ChatEvent => {
      const completionTokens = output.tokenCount;
      const usage: Usage = { promptTokens, cachedTokens, imageTokens, completionTokens, reasoningTokens: output.reasoningTokenCount };
      return { type: "finished", reason, usage };
    };

    const request: TokenRequest = { prompt, sampling: options.sampling, maxTokens, stopTokenIds: endTokenIds };
    for await (const event of engine.submit(request, signal)) {
      if (event.type === "started") {
        cachedTokens = event.cachedTokens;
        yield { type: "started", promptTokens, imageTokens, cachedTokens };
      } else if (event.type === "token") {
        yield* output.push(event.tokenId);
        if (output.isStopped) return yield finished("stop");
      } else if (event.type === "finished") {
        yield* output.flush();
        return yield finished(output.isStopped ? "stop" : event.reason);
      } else throw new EngineError(`the engine could not go on: ${event.message}`);
    }
    throw new EngineError("the engine ended an answer without saying why");
  }

  return { complete };
}
