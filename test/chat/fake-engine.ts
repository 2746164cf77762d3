// An engine that generates what a test scripts.

import type { TokenSource } from "../../src/chat/generate-answer.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";
import type { GenerationEvent } from "../../src/core/events.ts";
import type { FinishReason, TokenLogprobs } from "../../src/core/sampling.ts";

/** Generates the ids of a script, then ends with the given reason. A word in the script ends a run of the engine; the next run continues after it. */
export class FakeEngine implements TokenSource {
  readonly requests: EngineRequest[] = [];
  readonly #script: (number | FinishReason)[];
  readonly #last: GenerationEvent | "silence";
  readonly #logprobs: TokenLogprobs | undefined;
  tokenCount = 0;
  hasEnded = false;

  constructor(
    script: readonly (number | FinishReason)[],
    last: FinishReason | GenerationEvent | "silence" = "stop",
    logprobs?: TokenLogprobs,
  ) {
    this.#logprobs = logprobs;
    this.#script = [...script];
    this.#last = last === "stop" || last === "length" ? { type: "finished", reason: last } : last;
  }

  async *submit(request: EngineRequest): AsyncGenerator<GenerationEvent> {
    this.requests.push(request);
    try {
      yield { type: "started", cachedTokens: 3, sentMs: 0, queuedMs: 2 };
      for (let item = this.#script.shift(); item !== undefined; item = this.#script.shift()) {
        if (typeof item === "string") return yield { type: "finished", reason: item };
        this.tokenCount++;
        yield { type: "token", tokenId: item, ...(this.#logprobs && { logprobs: this.#logprobs }) };
      }
      if (this.#last !== "silence") yield this.#last;
    } finally {
      this.hasEnded = true;
    }
  }
}
