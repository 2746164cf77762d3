// What crosses the thread boundary between the server and the engine. Everything here survives a structured clone.

import type { StepReport } from "../core/batch.ts";
import type { Refusal } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import type { SamplingParams } from "../core/sampling.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";

/** Names one submitted request; the client counts upwards. */
export type SequenceId = number & { readonly brand: "SequenceId" };

/** One answer to generate. */
export type EngineRequest = {
  readonly prompt: EncodedPrompt;
  readonly sampling: SamplingParams;
  /** At least 1; what the slot cannot hold is cut off. `Infinity`: the rest of the context. */
  readonly maxTokens: number;
  /** Ids that end the answer. */
  readonly stopTokenIds: readonly number[];
  /** Ids that cannot come before the answer has so many tokens, unless `constraint` leaves no other. */
  readonly notBefore?: { readonly tokenCount: number; readonly tokenIds: readonly number[] };
  /** Set when tokens shall come with their log-probabilities, and those of so many best tokens. */
  readonly logprobCount?: number;
  /** Set when the prompt's tokens shall come with theirs, and so many of the best ones with each. All of the prompt is computed then. */
  readonly promptLogprobCount?: number;
  /** Only requests with the same salt share cached prefixes, so that no client can probe another's prompts by timing. */
  readonly cacheSalt?: string;
  /** Clients get their turns by what was computed for each; requests without are those of one client. */
  readonly clientId?: string;
  /** Among what waits of the same client, lower numbers come first; 0 unless told. */
  readonly priority?: number;
  /** Answers that this request is going to ask for in all, this being the first; the queue must have room for them. */
  readonly answerCount?: number;
  /** Belongs to a request that had its turn: another of its answers, or the next run of one. It is not refused for want of room. */
  readonly isFollowUp?: boolean;
  /** The experts that its tokens go to shall come with `finished`, from a model that tells them. */
  readonly wantsRouting?: boolean;
  /** What the answer must look like. Its port goes over to the engine, which closes it at the end of the sequence. */
  readonly constraint?: ConstraintHandle;
};

/** Counts since start-up, except where it says "now". */
export type EngineStats = {
  /** Sequences that own a slot now. */
  readonly running: number;
  /** Sequences in the queue now. */
  readonly waiting: number;
  /** Slots owned by a sequence now; equals `running` unless a slot leaked. */
  readonly slotsUsed: number;
  readonly steps: number;
  /** Prompt tokens computed. */
  readonly prefillTokens: number;
  /** Prompt tokens found in a slot. */
  readonly cachedTokens: number;
  /** Answer tokens computed. */
  readonly decodeTokens: number;
};

export type SequenceEvent = readonly [SequenceId, GenerationEvent];

export type ToEngine =
  /** `sentMs`: by `monotonicMs`. The engine reads it when its step is over, and time in between is time in the queue. */
  | { readonly type: "submit"; readonly id: SequenceId; readonly request: EngineRequest; readonly sentMs: number }
  | { readonly type: "abort"; readonly id: SequenceId }
  /** The answer is long enough: it ends with `finished` after the next token at the latest. */
  | { readonly type: "finish"; readonly id: SequenceId }
  | { readonly type: "close" };

export type FromEngine =
  /** Before `ready`: of the steps by which the device is prepared, `done` are done. */
  | { readonly type: "warming-up"; readonly done: number; readonly total: number }
  | { readonly type: "ready" }
  /** `step`: absent when there was none since the last message. */
  | {
      readonly type: "events";
      readonly events: readonly SequenceEvent[];
      readonly stats: EngineStats;
      readonly step?: StepReport | undefined;
    }
  | { readonly type: "refused"; readonly id: SequenceId; readonly error: Refusal }
  | { readonly type: "fatal"; readonly message: string };
