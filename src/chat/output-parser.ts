// Generated tokens → what the client sees: characters, then thinking or content, then stop strings.

import { Detokenizer } from "./detokenizer.ts";
import { type AnswerPart, ReasoningParser } from "./reasoning-parser.ts";
import { StopStrings } from "./stop-strings.ts";
import type { Tokenizer } from "./tokenizer.ts";

export type OutputOptions = {
  readonly promptTokenIds: Int32Array;
  readonly stopStrings: readonly string[];
  /** Ids that end an answer; they count, but are no text. */
  readonly endTokenIds: readonly number[];
};

export class OutputParser {
  readonly #detokenizer: Detokenizer;
  readonly #reasoning: ReasoningParser;
  readonly #stopStrings: StopStrings;
  readonly #endTokenIds: readonly number[];
  #tokenCount = 0;

  constructor(tokenizer: Tokenizer, { promptTokenIds, stopStrings, endTokenIds }: OutputOptions) {
    const markers = { open: tokenizer.controlTokenId("<think>"), close: tokenizer.controlTokenId("</think>") };
    this.#detokenizer = new Detokenizer(tokenizer);
    this.#reasoning = new ReasoningParser(markers, promptTokenIds);
    this.#stopStrings = new StopStrings(stopStrings);
    this.#endTokenIds = endTokenIds;
  }

  /** Tokens generated, end token and markers included. */
  get tokenCount(): number {
    return this.#tokenCount;
  }

  get reasoningTokenCount(): number {
    return this.#reasoning.reasoningTokenCount;
  }

  /** True once the content has run into a stop string. */
  get isStopped(): boolean {
    return this.#stopStrings.isStopped;
  }

  push(tokenId: number): AnswerPart[] {
    this.#tokenCount++;
    if (this.#endTokenIds.includes(tokenId)) return [];
    if (!this.#reasoning.isMarker(tokenId)) return this.#show(this.#reasoning.pushToken(this.#detokenizer.push(tokenId)));
    const unfinished = this.#show(this.#reasoning.pushText(this.#detokenizer.flush()));
    this.#reasoning.pushMarker(tokenId);
    return unfinished;
  }

  /** What was held back, at the end of the answer. */
  flush(): AnswerPart[] {
    const unfinished = this.#show(this.#reasoning.pushText(this.#detokenizer.flush()));
    const held = this.#stopStrings.flush();
    return held === "" ? unfinished : [...unfinished, { type: "content", text: held }];
  }

  /** Stop strings hold for content only: one in the thinking would end the request before it has an answer. */
  #show(part: AnswerPart): AnswerPart[] {
    const text = part.type === "content" ? this.#stopStrings.push(part.text) : part.text;
    return text === "" ? [] : [{ type: part.type, text }];
  }
}
