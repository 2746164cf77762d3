// The whole chat request in one function: prompt → engine → events a client understands.

import type { Chat, GenerationOptions } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { ChatEvent, GenerationEvent } from "../core/events.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import { type OutputConstraint, toolCallTokens } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import type { GrammarClient } from "../grammar/grammar-client.ts";
import { type GrammarVocabulary, readVocabulary } from "../grammar/token-trie.ts";
import { withinTime } from "./deadline.ts";
import { encodePrompt, type LoadImage, type LoadVideo } from "./encode-prompt.ts";
import { generateAnswer, type TokenSource } from "./generate-answer.ts";
import { OutputParser } from "./output-parser.ts";
import { severalAnswers } from "./several-answers.ts";
import { spellLogprobs } from "./spell-logprobs.ts";
import { loadTemplate } from "./template.ts";
import { createTokenCodec, type TokenCodec } from "./token-codec.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

export type ChatServiceDeps = {
  /** Holds the tokenizer and template files. */
  readonly modelFolder: string;
  readonly config: Pick<ModelConfig, "tokens">;
  readonly engine: TokenSource;
  readonly loadImage: LoadImage;
  /** Absent: videos are refused. */
  readonly loadVideo?: LoadVideo;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
  /** Of the model's logits. */
  readonly vocabSize: number;
  /** A request that takes longer ends with an error. Absent: it may take any time. */
  readonly requestTimeoutMs?: number | undefined;
  /** Called once, by the first request whose answer must have a form. */
  readonly startGrammar: (vocabulary: GrammarVocabulary) => Pick<GrammarClient, "open">;
};

export type ChatService = {
  /**
   * `started` first, `finished` last, once for each answer. Throws RequestError when the request is at fault, EngineError when a step failed, and the
   * signal's reason when it aborts. Leaving the loop early ends the generation too. `onEvent` is told of the engine's events as they come,
   * however slowly the loop takes its own, and of the answer they belong to.
   */
  complete(
    chat: Chat,
    options: GenerationOptions,
    signal: AbortSignal,
    onEvent?: (event: GenerationEvent, choice: number) => void,
  ): AsyncIterable<ChatEvent>;
  /** The ids of the prompt that `complete` would run, with a placeholder for each token that pictures fill. Throws RequestError. */
  encodeChat(chat: Chat): Promise<number[]>;
  readonly tokens: TokenCodec;
};

/** Reads tokenizer and template once. Throws UserError when the folder lacks them or they are of an unsupported kind. */
export function createChatService(deps: ChatServiceDeps): ChatService {
  const { modelFolder, config, engine, loadImage, loadVideo, contextLength } = deps;
  const tokenizer = loadTokenizer(modelFolder);
  const template = loadTemplate(modelFolder);
  const encoder = { tokenizer, template, tokens: config.tokens, loadImage, ...(loadVideo && { loadVideo }), contextLength };
  const endTokenIds = config.tokens.eos;

  const thinkEndId = tokenizer.controlTokenId("</think>");
  // As templates write it (model spec, 6.2 and 6.3).
  const thinkingEnd = thinkEndId === undefined ? undefined : { id: thinkEndId, closingIds: tokenizer.encodeTemplate("\n</think>\n\n") };
  const isAbleToCall = tokenizer.controlTokenId(toolCallTokens.begin) !== undefined;

  function encode(chat: Chat, signal?: AbortSignal): Promise<EncodedPrompt> {
    if (!chat.toolUse || isAbleToCall) return encodePrompt(chat, encoder, signal);
    const message = `tools: expected none, the tokenizer of this model has no ${toolCallTokens.begin}; leave them out`;
    throw new RequestError(message, { code: "unsupported_parameter", param: "tools" });
  }

  let grammar: Pick<GrammarClient, "open"> | undefined;
  async function openConstraint(constraint: OutputConstraint): Promise<ConstraintHandle> {
    grammar ??= deps.startGrammar(readVocabulary(tokenizer, deps.vocabSize, endTokenIds, Object.values(toolCallTokens)));
    return (await grammar.open(constraint)).handle;
  }

  async function* complete(...[chat, options, signal, onEvent]: Parameters<ChatService["complete"]>): AsyncGenerator<ChatEvent, void> {
    refuseUnknownBias(options, tokenizer);
    const prompt = await encode(chat, signal);
    const { choiceCount = 1, sampling, stopStrings, stopTokenIds = [], ignoresEndTokens = false, spellsSpecials = false } = options;
    const endIds = [...(ignoresEndTokens ? [] : endTokenIds), ...stopTokenIds];
    const plan = { prompt, thinkingEnd, endTokenIds: endIds, contextLength, spellLogprobs: spellLogprobs.bind(undefined, tokenizer) };
    const outputOptions = { promptTokenIds: prompt.tokenIds, stopStrings, endTokenIds: endIds, spellsSpecials, toolUse: chat.toolUse };
    async function* start(choice: number, choiceSignal: AbortSignal): AsyncGenerator<ChatEvent, void> {
      const seed = (sampling.seed + choice) % 2 ** 53;
      const output = new OutputParser(tokenizer, outputOptions);
      const followsThinking = output.isThinking && thinkingEnd !== undefined;
      // Before anything runs: a form that cannot be had is refused.
      const constraint = options.format && (await openConstraint({ format: options.format, followsThinking }));
      try {
        yield* generateAnswer(
          engine,
          {
            ...plan,
            constraint,
            isFollowUp: choice > 0,
            options: { ...options, sampling: { ...sampling, seed } },
            onEvent: onEvent && ((event) => onEvent(event, choice)),
          },
          output,
          choiceSignal,
        );
      } finally {
        constraint?.port.close();
      }
    }
    yield* choiceCount === 1 ? start(0, signal) : severalAnswers(choiceCount, start, signal);
  }

  const encodeChat = async (chat: Chat) => [...(await encode(chat)).tokenIds];

  return {
    complete: (chat, options, signal, onEvent) =>
      withinTime(deps.requestTimeoutMs, signal, (limited) => complete(chat, options, limited, onEvent)),
    encodeChat,
    tokens: createTokenCodec(tokenizer),
  };
}

function refuseUnknownBias({ sampling }: GenerationOptions, tokenizer: Tokenizer): void {
  const unknown = sampling.logitBias?.find(([tokenId]) => !tokenizer.hasToken(tokenId));
  if (!unknown) return;
  const message = `logit_bias: expected ids of tokens of this model, got ${unknown[0]}; /tokenize tells the ids of a text`;
  throw new RequestError(message, { code: "invalid_value", param: "logit_bias" });
}
