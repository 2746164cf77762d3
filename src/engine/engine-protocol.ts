// The messages between the server's thread and the engine's. Everything here survives a structured clone.

import type { StepReport } from "../core/batch.ts";
import type { Refusal } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import type { SamplingParams } from "../core/sampling.ts";
import type { ConstraintHandle } from "../core/token-constraint.ts";

/** Identifies one submitted request. The engine client counts upwards. */
export type SequenceId = number & { readonly brand: "SequenceId" };

/** One answer to generate. */
export type EngineRequest = {
  readonly prompt: EncodedPrompt;
  readonly sampling: SamplingParams;
  /**
   * Number of tokens at the end of the prompt that an earlier run generated for this answer. Penalties count them as part of the answer, and its
   * random numbers continue after theirs, so that two runs draw the same tokens as one would.
   */
  readonly generatedCount?: number;
  /** At least 1; lowered to what the slot can hold. `Infinity`: the rest of the context. */
  readonly maxTokens: number;
  /** Token ids that end the answer. */
  readonly stopTokenIds: readonly number[];
  /** Token ids that may not be drawn before the answer has `tokenCount` tokens, unless `constraint` allows no others. */
  readonly notBefore?: { readonly tokenCount: number; readonly tokenIds: readonly number[] };
  /** If set, each token comes with its log-probability and those of this many most likely tokens. */
  readonly logprobCount?: number;
  /** The same for the tokens of the prompt, which is then computed in full, without cached prefixes. */
  readonly promptLogprobCount?: number;
  /** Only requests with the same salt share cached prefixes, so that no client can probe another's prompts by timing them. */
  readonly cacheSalt?: string;
  /** The queue is fair among client ids. All requests without one count as one client. */
  readonly clientId?: string;
  /** Among the waiting requests of one client, lower numbers come first. Default 0. */
  readonly priority?: number;
  /** On the first of several answers: how many there will be. The queue must have room for all of them. Default 1. */
  readonly answerCount?: number;
  /** Belongs to an admitted request: another of its answers, or the next run of one. It is never refused because the queue is full. */
  readonly isFollowUp?: boolean;
  /** Whether `finished` shall report the experts chosen for its tokens, if the model exposes them. */
  readonly wantsRouting?: boolean;
  /** The grammar that the answer must follow. Its port is transferred to the engine, which closes it when the sequence ends. */
  readonly constraint?: ConstraintHandle;
};

/** The engine as it is now. */
export type EngineStats = {
  /** Sequences that own a slot. */
  readonly running: number;
  /** Sequences that are queued or preempted. */
  readonly waiting: number;
  /** Slots owned by a sequence. Equals `running` unless a slot has leaked. */
  readonly slotsUsed: number;
  /** Share of the KV cache's memory that they need, 0 … 1. Prefixes in idle slots do not count: they are evicted when needed. */
  readonly kvCacheUsage: number;
  /** Number of preemptions since the start. */
  readonly preemptions: number;
};

export type SequenceEvent = readonly [SequenceId, GenerationEvent];

export type ToEngine =
  /** `sentMs` is by `monotonicMs`. The engine reads the message after its current step; the time until then counts as queue time. */
  | { readonly type: "submit"; readonly id: SequenceId; readonly request: EngineRequest; readonly sentMs: number }
  | { readonly type: "abort"; readonly id: SequenceId }
  /** The answer is long enough: it shall end with `finished` after its next token at the latest. */
  | { readonly type: "finish"; readonly id: SequenceId }
  | { readonly type: "close" };

export type FromEngine =
  /** Before `ready`: `done` of `total` warm-up steps are done. */
  | { readonly type: "warming-up"; readonly done: number; readonly total: number }
  | { readonly type: "ready" }
  /** `step` is absent if none ran since the last message. */
  | {
      readonly type: "events";
      readonly events: readonly SequenceEvent[];
      readonly stats: EngineStats;
      readonly step?: StepReport | undefined;
    }
  | { readonly type: "refused"; readonly id: SequenceId; readonly error: Refusal }
  | { readonly type: "fatal"; readonly message: string };
