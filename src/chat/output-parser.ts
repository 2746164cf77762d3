// Generated tokens → what the client sees: detokenizes, splits thinking from content, finds calls, applies stop strings.

import { callableTools, maxCalls, type ToolUse } from "../core/chat.ts";
import type { AnswerPart } from "../core/events.ts";
import { toolCallTokens } from "../core/structured-output.ts";
import { Detokenizer } from "./detokenizer.ts";
import { ReasoningParser, type SplitText } from "./reasoning-parser.ts";
import { StopStrings } from "./stop-strings.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { type ContentPart, ToolCallParser } from "./tool-call-parser.ts";

type OutputOptions = {
  readonly promptTokenIds: Int32Array;
  readonly stopStrings: readonly string[];
  /** Ids that end an answer. They have no text. */
  readonly endTokenIds: readonly number[];
  /** Control tokens in the answer are spelled out, except those of thinking and calls. */
  readonly spellsSpecials?: boolean;
  /** Absent: nothing in the answer is a call. */
  readonly toolUse?: ToolUse | undefined;
  /** The answer is plain text: thinking tokens have no meaning. */
  readonly isPlain?: boolean | undefined;
  /** The prompt already contains the beginning of the answer. */
  readonly isBegun?: boolean | undefined;
};

export class OutputParser {
  readonly #detokenizer: Detokenizer;
  readonly #reasoning: ReasoningParser;
  readonly #calls: ToolCallParser | undefined;
  readonly #openCallId: number | undefined;
  readonly #closeCallId: number | undefined;
  readonly #stopStrings: StopStrings;
  readonly #options: OutputOptions;

  constructor(tokenizer: Tokenizer, options: OutputOptions) {
    const { toolUse } = options;
    const markerId = (text: string) => (options.isPlain ? undefined : tokenizer.controlTokenId(text));
    const markers = { open: markerId("<think>"), close: markerId("</think>") };
    this.#options = options;
    this.#detokenizer = new Detokenizer(tokenizer, options.spellsSpecials);
    this.#reasoning = new ReasoningParser(markers, options.promptTokenIds, options.isBegun);
    const names = toolUse && callableTools(toolUse).map(({ name }) => name);
    this.#calls = names && new ToolCallParser(names, maxCalls(toolUse));
    this.#openCallId = tokenizer.controlTokenId(toolCallTokens.begin);
    this.#closeCallId = tokenizer.controlTokenId(toolCallTokens.end);
    this.#stopStrings = new StopStrings(options.stopStrings);
  }

  /** Whether the model is thinking; before the first token, whether the prompt ends in thinking. */
  get isThinking(): boolean {
    return this.#reasoning.isThinking;
  }

  get reasoningTokenCount(): number {
    return this.#reasoning.reasoningTokenCount;
  }

  get callCount(): number {
    return this.#calls?.callCount ?? 0;
  }

  /** True once the content has reached a stop string, or the last allowed call is complete. */
  get isStopped(): boolean {
    return this.#stopStrings.isStopped || (this.#calls?.isFull ?? false);
  }

  /** The stop string that the content has reached. */
  get stopString(): string | undefined {
    return this.#stopStrings.match;
  }

  /** Takes a token that the model chose. */
  push(tokenId: number): AnswerPart[] {
    if (this.#options.endTokenIds.includes(tokenId)) return [];
    if (!this.#isMarker(tokenId)) return this.#show(this.#reasoning.pushToken(this.#detokenizer.push(tokenId)));
    return this.#pushMarker(tokenId);
  }

  /** Takes a token that the model did not choose, such as the end of thinking: it is shown, but not counted. */
  put(tokenId: number): AnswerPart[] {
    if (!this.#isMarker(tokenId)) return this.#show(this.#reasoning.pushText(this.#detokenizer.push(tokenId)));
    return this.#pushMarker(tokenId);
  }

  /** Returns what was held back, at the end of the answer. */
  flush(): AnswerPart[] {
    const unfinished = this.#flushCharacter();
    const lastParts = this.#calls ? this.#screen(this.#calls.flush()) : [];
    return [...unfinished, ...lastParts, ...content(this.#stopStrings.flush())];
  }

  #isMarker(tokenId: number): boolean {
    return this.#reasoning.isMarker(tokenId) || (this.#calls !== undefined && this.#isCallMarker(tokenId));
  }

  #isCallMarker(tokenId: number): boolean {
    return tokenId === this.#openCallId || tokenId === this.#closeCallId;
  }

  #pushMarker(tokenId: number): AnswerPart[] {
    const unfinished = this.#flushCharacter();
    if (this.#reasoning.isMarker(tokenId)) {
      this.#reasoning.pushMarker(tokenId);
      return unfinished;
    }
    if (!this.#calls || this.#reasoning.isThinking) return unfinished; // a call inside thinking
    this.#reasoning.pushContentMarker();
    return [...unfinished, ...this.#screen(tokenId === this.#openCallId ? this.#calls.open() : this.#calls.close())];
  }

  #flushCharacter(): AnswerPart[] {
    return this.#show(this.#reasoning.pushText(this.#detokenizer.flush()));
  }

  #show({ type, text }: SplitText): AnswerPart[] {
    if (text === "") return [];
    if (type === "reasoning") return [{ type, text }];
    return this.#screen(this.#calls ? this.#calls.pushText(text) : content(text));
  }

  /** Stop strings apply to content only: in thinking or arguments, one would end the answer before there is any. */
  #screen(parts: readonly ContentPart[]): AnswerPart[] {
    const shown: AnswerPart[] = [];
    for (const part of parts) {
      if (this.#stopStrings.isStopped) break;
      if (part.type === "content") shown.push(...content(this.#stopStrings.push(part.text)));
      else shown.push(...content(this.#stopStrings.flush()), part);
    }
    return shown;
  }
}

function content(text: string): ContentPart[] {
  return text === "" ? [] : [{ type: "content", text }];
}
