// The chat service: encodes a prompt, runs the engine, and turns tokens into events for clients.

import { setImmediate } from "node:timers/promises";
import type { BegunAnswer, Chat, GenerationOptions, TextPrompt, ToolUse } from "../core/chat.ts";
import { RequestError } from "../core/errors.ts";
import type { ChatEvent, GenerationEvent } from "../core/events.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import { type OutputConstraint, toolCallTokens } from "../core/structured-output.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";
import type { GrammarClient } from "../grammar/grammar-client.ts";
import { type GrammarVocabulary, readVocabulary } from "../grammar/token-trie.ts";
import { withinTime } from "./deadline.ts";
import { encodeTextPrompt } from "./encode-text-prompt.ts";
import { encodePrompt, type LoadImage, type LoadVideo, type PromptEncoderDeps } from "./encode-prompt.ts";
import type { ReadPdf } from "./expand-documents.ts";
import { type AnswerPlan, generateAnswer, type ThinkingEnd, type TokenSource } from "./generate-answer.ts";
import { OutputParser } from "./output-parser.ts";
import { saltPictures } from "./salt-pictures.ts";
import { severalAnswers, severalPrompts } from "./several-answers.ts";
import { createLogprobSpeller, type SpellLogprobs } from "./spell-logprobs.ts";
import { loadTemplate, thinkingEnd } from "./template.ts";
import { createTokenCodec, type TokenCodec } from "./token-codec.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

export type ChatServiceDeps = {
  /** Contains the tokenizer and template files. */
  readonly modelFolder: string;
  readonly config: Pick<ModelConfig, "tokens">;
  readonly engine: TokenSource;
  readonly loadImage: LoadImage;
  /** Absent: videos are refused. */
  readonly loadVideo?: LoadVideo;
  /** Absent: PDFs are refused. */
  readonly readPdf?: ReadPdf;
  /** The most tokens that prompt and answer can have together. */
  readonly contextLength: number;
  /** The width of the model's logits. */
  readonly vocabSize: number;
  /** The time limit of a request. Absent: none. */
  readonly requestTimeoutMs?: number | undefined;
  /** Called once, by the first request with an output format. */
  readonly startGrammar: (vocabulary: GrammarVocabulary) => Pick<GrammarClient, "open">;
};

type OnEvent = (event: GenerationEvent, choice: number) => void;

export type ChatService = {
  /**
   * The events of the answers: `started` first, `finished` last, once for each answer. Throws RequestError when the request is at fault, EngineError
   * when a step failed, and the signal's reason when it aborts. Leaving the loop early ends the generation too. `onEvent` gets the engine's events
   * as they arrive, however slowly the loop consumes, together with the number of the answer.
   */
  complete(chat: Chat, options: GenerationOptions, signal: AbortSignal, onEvent?: OnEvent): AsyncIterable<ChatEvent>;
  /**
   * The same for texts that the model continues: everything it writes is `content`. Each prompt has its own `started` event, and the
   * answers are numbered across prompts: answer k of prompt p is p · choiceCount + k.
   */
  completeTexts(
    prompts: readonly TextPrompt[],
    options: GenerationOptions,
    signal: AbortSignal,
    onEvent?: OnEvent,
  ): AsyncIterable<ChatEvent>;
  /**
   * The token ids of the prompt that `complete` would run, with a placeholder for each token of a picture. Throws RequestError, and the
   * signal's reason when it aborts while pictures wait.
   */
  encodeChat(chat: Chat, signal?: AbortSignal): Promise<number[]>;
  readonly tokens: TokenCodec;
};

/** A prompt, and how its answer is parsed. `isPlain`: it has neither thinking nor calls. `begun`: the part of it that the prompt contains. */
type Question = {
  readonly prompt: EncodedPrompt;
  /** The prompt's place among those of its request. Absent: it is the only one. */
  readonly place?: { readonly index: number; readonly count: number };
  readonly toolUse?: ToolUse | undefined;
  readonly isPlain?: boolean;
  readonly begun?: BegunAnswer | undefined;
};

/** Reads tokenizer and template once. Throws UserError when the folder lacks them or they are of an unsupported kind. */
export function createChatService(deps: ChatServiceDeps): ChatService {
  return new LoadedChatService(deps);
}

class LoadedChatService implements ChatService {
  readonly tokens: TokenCodec;
  readonly #deps: ChatServiceDeps;
  readonly #tokenizer: Tokenizer;
  readonly #spellLogprobs: SpellLogprobs;
  readonly #encoder: PromptEncoderDeps;
  readonly #thinkingEnd: ThinkingEnd | undefined;
  readonly #endTokenIds: readonly number[];
  #grammar: Pick<GrammarClient, "open"> | undefined;

  constructor(deps: ChatServiceDeps) {
    const { modelFolder, config, loadImage, loadVideo, readPdf, contextLength } = deps;
    const tokenizer = loadTokenizer(modelFolder);
    const template = loadTemplate(modelFolder);
    this.#deps = deps;
    this.#tokenizer = tokenizer;
    this.#spellLogprobs = createLogprobSpeller(tokenizer);
    this.tokens = createTokenCodec(tokenizer);
    this.#encoder = {
      tokenizer,
      template,
      tokens: config.tokens,
      loadImage,
      ...(loadVideo && { loadVideo }),
      ...(readPdf && { readPdf }),
      contextLength,
    };
    // The template ends earlier answers with this token, so new ones end there too. In SentencePiece models no JSON file lists it (model spec, 6.2).
    const turnEndId = tokenizer.controlTokenId("<|end_of_sentence|>");
    this.#endTokenIds = [...new Set([...config.tokens.eos, ...(turnEndId === undefined ? [] : [turnEndId])])];
    const thinkEndId = tokenizer.controlTokenId("</think>");
    this.#thinkingEnd = thinkEndId === undefined ? undefined : { id: thinkEndId, closingIds: tokenizer.encodeTemplate(thinkingEnd) };
  }

  complete(...[chat, options, signal, onEvent]: Parameters<ChatService["complete"]>): AsyncIterable<ChatEvent> {
    return withinTime(this.#deps.requestTimeoutMs, signal, (limited) => this.#complete(chat, options, limited, onEvent));
  }

  completeTexts(...[texts, options, signal, onEvent]: Parameters<ChatService["completeTexts"]>): AsyncIterable<ChatEvent> {
    return withinTime(this.#deps.requestTimeoutMs, signal, (limited) => this.#completeTexts(texts, options, limited, onEvent));
  }

  async encodeChat(chat: Chat, signal?: AbortSignal): Promise<number[]> {
    return [...(await this.#encode(chat, signal)).tokenIds];
  }

  #encode(chat: Chat, signal?: AbortSignal): Promise<EncodedPrompt> {
    if (!chat.toolUse || this.#tokenizer.controlTokenId(toolCallTokens.begin) !== undefined)
      return encodePrompt(chat, this.#encoder, signal);
    const message = `tools: not supported by this model, whose tokenizer has no ${toolCallTokens.begin} token; leave them out`;
    throw new RequestError(message, { code: "unsupported_parameter", param: "tools" });
  }

  async *#complete(...[chat, options, signal, onEvent]: Parameters<ChatService["complete"]>): AsyncGenerator<ChatEvent, void> {
    refuseUnknownBias(options, this.#tokenizer);
    const prompt = saltPictures(await this.#encode(chat, signal), options.cacheSalt);
    refuseManyScores([prompt], options.promptLogprobCount, "messages");
    yield* this.#answer({ prompt, toolUse: chat.toolUse, begun: chat.begun }, options, signal, onEvent);
  }

  async *#completeTexts(...[texts, options, signal, onEvent]: Parameters<ChatService["completeTexts"]>): AsyncGenerator<ChatEvent, void> {
    refuseUnknownBias(options, this.#tokenizer);
    const prompts: EncodedPrompt[] = [];
    for (const text of texts) {
      prompts.push(encodeTextPrompt(text, this.#encoder));
      await setImmediate(); // lets other requests run: tokenizing 100,000 tokens takes a tenth of a second
      signal.throwIfAborted();
    }
    refuseManyScores(prompts, options.promptLogprobCount, "prompt");
    const { choiceCount = 1 } = options;
    const start = (index: number, either: AbortSignal) => {
      const onOwnEvent: OnEvent | undefined = onEvent && ((event, choice) => onEvent(event, index * choiceCount + choice));
      return this.#answer({ prompt: prompts[index]!, place: { index, count: texts.length }, isPlain: true }, options, either, onOwnEvent);
    };
    yield* severalPrompts(texts.length, choiceCount, start, signal);
  }

  #answer(question: Question, options: GenerationOptions, signal: AbortSignal, onEvent?: OnEvent): AsyncGenerator<ChatEvent, void> {
    const { choiceCount = 1 } = options;
    const start = (choice: number, either: AbortSignal, onFirstToken?: () => void) => {
      const onOwnEvent = onEvent && ((event: GenerationEvent) => onEvent(event, choice));
      return this.#answerOnce(question, choice, options, either, { onFirstToken, onEvent: onOwnEvent });
    };
    return choiceCount === 1 ? start(0, signal) : severalAnswers(choiceCount, start, signal);
  }

  async *#answerOnce(
    { prompt, place = { index: 0, count: 1 }, toolUse, isPlain, begun }: Question,
    choice: number,
    options: GenerationOptions,
    signal: AbortSignal,
    listeners: Pick<AnswerPlan, "onFirstToken" | "onEvent">,
  ): AsyncGenerator<ChatEvent, void> {
    const { sampling, stopStrings, stopTokenIds = [], ignoresEndTokens = false, spellsSpecials = false, choiceCount = 1 } = options;
    const isFirst = choice === 0;
    const endTokenIds = [...(ignoresEndTokens ? [] : this.#endTokenIds), ...stopTokenIds];
    const output = new OutputParser(this.#tokenizer, {
      promptTokenIds: prompt.tokenIds,
      stopStrings,
      endTokenIds,
      spellsSpecials,
      toolUse,
      isPlain,
      isBegun: begun !== undefined,
    });
    const followsThinking = output.isThinking && this.#thinkingEnd !== undefined;
    // Opened before anything runs, so that a bad format is refused.
    const constraint =
      options.format && (await this.#openConstraint({ format: options.format, followsThinking, ...textOf(begun) }, signal));
    const plan: AnswerPlan = {
      prompt,
      constraint,
      answerCount: isFirst && place.index === 0 ? choiceCount * place.count : undefined,
      thinkingEnd: this.#thinkingEnd,
      endTokenIds,
      clientEndIds: stopTokenIds.filter((id) => !this.#endTokenIds.includes(id)),
      contextLength: this.#deps.contextLength,
      spellLogprobs: this.#spellLogprobs,
      isHidden: (tokenId) => !options.spellsSpecials && this.#tokenizer.isSpecial(tokenId),
      options: {
        ...options,
        sampling: { ...sampling, seed: seedOf(choice, sampling.seed) },
        promptLogprobCount: isFirst ? options.promptLogprobCount : undefined,
      },
      ...listeners,
    };
    try {
      yield* generateAnswer(this.#deps.engine, plan, output, signal);
    } finally {
      constraint?.port.close();
    }
  }

  #openConstraint(constraint: OutputConstraint, signal: AbortSignal): Promise<ConstraintHandle> {
    const { startGrammar, vocabSize } = this.#deps;
    this.#grammar ??= startGrammar(readVocabulary(this.#tokenizer, vocabSize, this.#endTokenIds, Object.values(toolCallTokens)));
    return this.#grammar.open(constraint, signal);
  }
}

/** The begun text that the output format applies to. Thinking is free. */
function textOf(begun: BegunAnswer | undefined): Pick<OutputConstraint, "begun"> {
  return begun?.text === undefined ? {} : { begun: { text: begun.text, param: begun.param } };
}

/** The answers of a request have consecutive seeds; 2^53 − 1 is followed by 0. (2^53 + 1 would be rounded to 2^53.) */
function seedOf(choice: number, first: number): number {
  return first < 2 ** 53 - choice ? first + choice : first - (2 ** 53 - choice);
}

/** Bounds memory: each log-probability is an object here and a line of the answer. */
const maxScores = 2 ** 18;

function refuseManyScores(prompts: readonly EncodedPrompt[], topCount: number | undefined, param: string): void {
  if (topCount === undefined) return;
  const count = prompts.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0) * (1 + topCount);
  if (count <= maxScores) return;
  const limit = `at most ${maxScores} log-probabilities of prompts in one request`;
  throw new RequestError(
    `${param}: expected ${limit}, got ${count}; send fewer or shorter prompts, or ask for fewer of the likeliest tokens`,
    {
      code: "invalid_value",
      param,
    },
  );
}

function refuseUnknownBias({ sampling }: GenerationOptions, tokenizer: Tokenizer): void {
  const unknown = sampling.logitBias?.find(([tokenId]) => !tokenizer.hasToken(tokenId));
  if (!unknown) return;
  const message = `logit_bias: expected token ids of this model, got ${unknown[0]}; /tokenize shows the ids of a text`;
  throw new RequestError(message, { code: "invalid_value", param: "logit_bias" });
}
