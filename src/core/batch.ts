// The input and output of one engine step, and the interface of a model. All read-only: lasting state lives in `Sequence`.

import type { EngineError } from "./errors.ts";
import type { ImagePatches, VisionSpan } from "./prompt.ts";
import type { ChosenExperts, RoutingShape } from "./routing.ts";
import type { PromptTokenLogprobs, SamplingParams, TokenLogprobs } from "./sampling.ts";

/** Number of a KV slot: the part of the KV cache that holds one sequence. */
export type SlotId = number & { readonly brand: "SlotId" };

/** How the next token of a sequence is to be drawn. */
export type TokenDraw = {
  readonly params: SamplingParams;
  /** Number of tokens of the answer so far. With the seed, it determines the random number. */
  readonly drawIndex: number;
  /** Set if there is a bias or a penalty. */
  readonly changes?: LogitChanges | undefined;
  /**
   * Returns uint32 [⌈vocab / 32⌉]: bit t says whether token t may be drawn; at least one is set. Absent: all tokens are allowed. To be called
   * after the forward pass. Waits up to `patienceMs` and returns undefined if the mask is not ready then. Throws EngineError if it will never come.
   */
  readonly mask?: (patienceMs: number) => Uint32Array | undefined;
  /** A few ids that may not be drawn unless the mask allows no others. */
  readonly bannedIds?: readonly number[];
  /** If set, log-probabilities are wanted: of the drawn token and of this many most likely ones. */
  readonly logprobCount?: number;
};

/**
 * The effect of bias and penalties on the next token's logits. Queries take constant time, whatever the length of the sequence. Logits here are
 * scaled: multiplied by `inverseTemperature`.
 */
export interface LogitChanges {
  /** Number of tokens whose logits may change. */
  readonly count: number;
  /** Those tokens, each once. */
  tokenIds(): Iterable<number>;
  /** Those of them whose logits may rise. */
  risingIds(): Iterable<number>;
  has(tokenId: number): boolean;
  /** The changed value of a token's scaled logit. Never higher than before unless the token is one of `risingIds`. */
  changed(tokenId: number, scaled: number, inverseTemperature: number): number;
}

/** Most prompt tokens per step whose successors are scored. Each takes a row of logits. */
export const maxScoredTokens = 32;

/** A request for the log-probabilities of the prompt tokens that follow those of an entry. */
export type PromptScoring = {
  /** int32 [≤ min(count, maxScoredTokens)]: the token after each token of the range; the prompt's last token has none. */
  readonly nextIds: Int32Array;
  /** How many most likely tokens to report beside each. */
  readonly topCount: number;
};

/** The token range [start, start + tokenIds.length) of one sequence. */
export type BatchEntry = {
  readonly slot: SlotId;
  /** Number of tokens that the slot already holds. */
  readonly start: number;
  /** int32 [count] */
  readonly tokenIds: Int32Array;
  /** int32 [3, count] */
  readonly positions: Int32Array;
  /** [count] */
  readonly visionExpert: Uint8Array;
  /** Spans that overlap the range, in whole-sequence coordinates. */
  readonly spans: readonly VisionSpan[];
  /** Set if the range ends at the sequence's last known token, so that the next one is to be drawn. */
  readonly draw: TokenDraw | undefined;
  /** `prefill` only: set if the prompt is to be scored. */
  readonly scoring?: PromptScoring | undefined;
};

/**
 * - `prefill`: one entry of any length.
 * - `decode`: entries of one token each, in slots 0 … entries.length − 1, in that order, because the slots of a batch are one contiguous piece of
 *   the cache. A single entry may be in any slot if the model `decodesOneAnywhere`.
 * - `encode`: one picture, or a piece of a video, or a part of the work for it: as much as for `maxTokens` tokens of a prompt. It precedes the
 *   prefill over its placeholders, so that decode steps can run in between.
 */
export type Batch =
  | { readonly type: "prefill"; readonly entry: BatchEntry }
  | { readonly type: "decode"; readonly entries: readonly BatchEntry[] }
  | { readonly type: "encode"; readonly image: ImagePatches; readonly maxTokens: number };

/** The entries of a batch; none for `encode`. */
export function entriesOf(batch: Batch): readonly BatchEntry[] {
  if (batch.type === "encode") return [];
  return batch.type === "prefill" ? [batch.entry] : batch.entries;
}

export type StepResult = {
  /** Per entry: the drawn token, or undefined if no draw was requested, it failed, or its mask was late. */
  readonly tokenIds: readonly (number | undefined)[];
  /**
   * Per entry: why no token could be drawn (non-finite logits, a mask that never came), or undefined. Other entries are not affected. Absent: none
   * failed.
   */
  readonly errors?: readonly (EngineError | undefined)[];
  /** Per entry: whether nothing was drawn because its mask was late. Its last token must be computed again. Absent: none was late. */
  readonly postponed?: readonly boolean[];
  /** Per entry, undefined if not requested. Absent: requested by none. */
  readonly logprobs?: readonly (TokenLogprobs | undefined)[];
  /** `prefill` with `scoring`: those of `nextIds`. */
  readonly promptLogprobs?: readonly PromptTokenLogprobs[];
  /** `encode`: whether the features need more steps. Absent: they are complete. */
  readonly isUnfinished?: boolean;
  /** Of all tokens of the step, entry after entry. Overwritten by the next step. Absent: the model does not expose its routing. */
  readonly chosenExperts?: ChosenExperts;
};

/** What one step did, whether it succeeded or failed. */
export type StepReport = {
  readonly kind: Batch["type"];
  /** Tokens computed: of the prompt, one per decoding sequence, or the placeholders of a picture whose features are complete now. */
  readonly tokenCount: number;
  /** Of planning, running and committing the step. */
  readonly durationMs: number;
};

/** How the memory of the KV cache is divided. */
export type KvPages = {
  /** Tokens per page. */
  readonly tokens: number;
  /** Pages of all slots together; at least as many as one full slot takes. */
  readonly count: number;
};

export interface ModelRunner {
  /** Most sequences that own a slot at the same time; also the largest decode batch. */
  readonly slotCount: number;
  /** Additional slots that keep prefixes of ended sequences. */
  readonly spareSlotCount: number;
  /** Whether a decode of one entry may run in any slot, not only in slot 0. */
  readonly decodesOneAnywhere: boolean;
  /** Most tokens of a slot, if there is memory for them. */
  readonly slotCapacity: number;
  readonly pages: KvPages;
  /** Patches of the largest picture. A video is encoded in pieces of at most as many, but of at least two frames. */
  readonly maxPatches: number;
  /** Absent: the model does not expose which experts were chosen. */
  readonly routing?: RoutingShape | undefined;
  /** Whether the features of this picture are in the model's cache. */
  hasFeatures(image: ImagePatches): boolean;
  /** Computes one batch. Throws if the whole step failed; the slots of the batch are then undefined beyond each entry's `start`. */
  step(batch: Batch): StepResult;
  /** Sets how many pages of memory a slot has; 0 at first. Content beyond is lost. If it throws, the slot is unchanged. */
  resizeSlot(slot: SlotId, pageCount: number): void;
  /** Swaps the first `lengthA` tokens of slot a with the first `lengthB` tokens of slot b, and their page counts. */
  swapSlots(a: SlotId, lengthA: number, b: SlotId, lengthB: number): void;
  /** Copies the first `length` tokens of a slot to another. */
  copySlot(from: SlotId, to: SlotId, length: number): void;
}
