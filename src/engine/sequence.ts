// One request inside the engine: its tokens, how many of them are computed, and in which slot.

import { type BatchEntry, maxScoredTokens, type SlotId, type TokenDraw } from "../core/batch.ts";
import { monotonicMs } from "../core/clock.ts";
import { assert, EngineError } from "../core/errors.ts";
import type { EncodedPrompt, VisionSpan } from "../core/prompt.ts";
import type { FinishReason } from "../core/sampling.ts";
import type { TokenConstraint } from "../core/token-constraint.ts";
import type { EngineRequest, SequenceId } from "./engine-protocol.ts";
import { createLogitChanges, type SequenceLogitChanges } from "./logit-changes.ts";
import type { SlotContent, SpanKey } from "./prefix-match.ts";
import type { RoutingRecord } from "./routing-record.ts";

/**
 * `waiting`: no slot yet, or preempted. `prefilling`, `decoding`: owns a slot; `decoding` if only the last token is left to compute, unless it
 * belongs to a picture, because decode steps compute text only. `finished`: ended in any way, slot given back.
 */
type SequenceStatus = "waiting" | "prefilling" | "decoding" | "finished";

/**
 *  [0, computedLength)       keys and values are in the slot
 *  [computedLength, length)  known but not computed: the rest of the prompt, the token drawn last, or what was lost in a preemption
 */
export class Sequence {
  readonly id: SequenceId;
  /** Most tokens of the answer. May be lowered, even below its current length: the answer then ends with its next token. */
  maxTokens: number;
  /** When it was submitted, by `monotonicMs`. */
  readonly sentMs: number;
  readonly clientId: string | undefined;
  readonly priority: number;
  /** Queue places it stands for: all answers of its request if it is the first of them, otherwise 1. */
  readonly answerCount: number;
  readonly isFollowUp: boolean;
  /** Set if the client asked which experts were chosen. */
  routing: RoutingRecord | undefined;
  /** When it was first admitted (by `monotonicMs`) and its number in the order of admission; undefined until then. */
  started: { readonly atMs: number; readonly number: number } | undefined;
  /** Whether its `started` event was emitted. */
  isStartTold = false;
  slot: SlotId | undefined;
  computedLength = 0;
  /** An older sequence whose prompt begins alike. Its first `length` tokens are copied when it has computed them. */
  awaited: { readonly leader: Sequence; readonly length: number } | undefined;
  /** How many prompt tokens have been scored, if log-probabilities of the prompt are wanted. After a preemption, only these may come from the cache. */
  #scoredLength = 0;
  #hasEnded = false;
  /**
   * Hashes of the pictures that have had an encode step. Each gets only one. If the model has evicted the features since, the prefill computes
   * them: otherwise two pictures that do not fit into the cache together would evict each other forever.
   */
  readonly encodedImages = new Set<string>();
  readonly #prompt: Omit<EncodedPrompt, "spans">;
  readonly #request: Omit<EngineRequest, "prompt">;
  readonly #constraint: TokenConstraint | undefined;
  /** Created at the first draw. */
  #logitChanges: SequenceLogitChanges | undefined;
  readonly #spanKeys: readonly SpanKey[];
  #spans: readonly VisionSpan[];
  #tokenBuffer: Int32Array;
  #length: number;

  /** The prompt must be shorter than `slotCapacity`. */
  constructor(id: SequenceId, request: EngineRequest, slotCapacity: number, constraint?: TokenConstraint, sentMs = monotonicMs()) {
    const { prompt, ...rest } = request;
    const { spans, ...promptWithoutPixels } = prompt;
    this.id = id;
    this.sentMs = sentMs;
    this.maxTokens = Math.min(request.maxTokens, slotCapacity - prompt.tokenIds.length);
    assert(
      this.maxTokens >= 1,
      `sequence ${id} has no room for an answer: ${request.maxTokens} tokens requested, slots hold ${slotCapacity}`,
    );
    assert(prompt.tokenIds.length > 0, `sequence ${id} has an empty prompt`);
    this.clientId = request.clientId;
    this.priority = request.priority ?? 0;
    this.answerCount = request.answerCount ?? 1;
    this.isFollowUp = request.isFollowUp ?? false;
    this.#request = rest;
    this.#prompt = promptWithoutPixels;
    this.#spans = spans;
    this.#constraint = constraint;
    this.#spanKeys = spans.map(({ start, length, image }) => ({ start, length, hash: image.hash }));
    this.#tokenBuffer = prompt.tokenIds;
    this.#length = prompt.tokenIds.length;
  }

  get promptLength(): number {
    return this.#prompt.tokenIds.length;
  }

  /** Tokens of the prompt and of the answer so far. */
  get length(): number {
    return this.#length;
  }

  get status(): SequenceStatus {
    if (this.#hasEnded) return "finished";
    if (this.slot === undefined) return "waiting";
    return this.computedLength === this.#length - 1 && !this.#endsInPicture ? "decoding" : "prefilling";
  }

  get #endsInPicture(): boolean {
    return this.#spanKeys.some(({ start, length }) => start + length === this.#length);
  }

  /** Tokens of the prompt and of the longest possible answer. */
  get longestLength(): number {
    return this.promptLength + this.maxTokens;
  }

  /** Records that the tokens before `length` are computed. */
  advanceTo(length: number): void {
    this.computedLength = length;
    this.#scoredLength = Math.max(this.#scoredLength, length);
  }

  /** Frees the pixels. To be called once the prompt is computed, if the sequence can never be preempted. */
  dropPixels(): void {
    this.#spans = [];
  }

  /** Adds a drawn token to the answer. */
  append(tokenId: number): void {
    if (this.#length === this.#tokenBuffer.length) {
      const grown = new Int32Array(this.#length * 2);
      grown.set(this.#tokenBuffer);
      this.#tokenBuffer = grown;
    }
    this.#tokenBuffer[this.#length++] = tokenId;
    this.#logitChanges?.add(tokenId);
  }

  /** Tells the constraint the last token, so that it prepares the next mask. Not to be called when the token ended the answer. */
  constrainNext(): void {
    this.#constraint?.accept(this.#tokenBuffer[this.#length - 1]!);
  }

  /** Marks it as finished and closes the constraint. Nothing may be drawn afterwards. */
  end(): void {
    this.#hasEnded = true;
    this.#constraint?.close();
  }

  /** Why the answer ends with its last token, or undefined if it goes on. */
  finishReason(): FinishReason | undefined {
    const lastTokenId = this.#tokenBuffer[this.#length - 1];
    if (lastTokenId !== undefined && this.#request.stopTokenIds.includes(lastTokenId)) return "stop";
    return this.#length - this.promptLength >= this.maxTokens ? "length" : undefined;
  }

  /** What the slot will hold when all tokens known now are computed. */
  knownContent(): SlotContent {
    return this.#content(this.#length);
  }

  /** What the slot holds now: the key by which later sequences find it. */
  computedContent(): SlotContent {
    return this.#content(this.computedLength);
  }

  /**
   * The prefix that may come from the cache. It excludes the last token, because its logits are needed for the next draw and slots keep none. If
   * the prompt is to be scored, the logits of all its tokens are needed.
   */
  reusableContent(): SlotContent {
    return this.#content(this.isToBeScored ? Math.min(this.#scoredLength, this.#length - 1) : this.#length - 1);
  }

  /** Whether log-probabilities of its prompt are still wanted. The prompt is then computed in small chunks. */
  get isToBeScored(): boolean {
    return this.#request.promptLogprobCount !== undefined && this.#scoredLength < this.promptLength;
  }

  #content(length: number): SlotContent {
    return {
      tokenIds: this.#tokenBuffer.subarray(0, length),
      visionExpert: this.#prompt.visionExpert,
      spans: this.#spanKeys,
      cacheSalt: this.#request.cacheSalt,
    };
  }

  /** The batch entry for the next tokens to compute, at most `maxCount`. */
  nextEntry(maxCount: number): BatchEntry {
    assert(this.slot !== undefined, `sequence ${this.id} has no slot to run in`);
    const start = this.computedLength;
    const topCount = this.isToBeScored && start >= this.#scoredLength ? this.#request.promptLogprobCount : undefined;
    const limit = this.isToBeScored && topCount === undefined ? this.#scoredLength : this.#length;
    const end = Math.min(start + (topCount === undefined ? maxCount : Math.min(maxCount, maxScoredTokens)), limit);
    assert(start < end, `sequence ${this.id} has nothing to compute`);
    const visionExpert = new Uint8Array(end - start);
    visionExpert.set(this.#prompt.visionExpert.subarray(start, end));
    return {
      slot: this.slot,
      start,
      tokenIds: this.#tokenBuffer.subarray(start, end),
      positions: this.#positions(start, end),
      visionExpert,
      spans: this.#spans.filter((span) => span.start < end && span.start + span.length > start),
      draw: end < this.#length ? undefined : this.#nextDraw(),
      ...(topCount !== undefined && start + 1 < this.promptLength && { scoring: { nextIds: this.#scoredIds(start, end), topCount } }),
    };
  }

  /** The prompt token that follows each token of the range. */
  #scoredIds(start: number, end: number): Int32Array {
    return this.#tokenBuffer.subarray(start + 1, Math.min(end + 1, this.promptLength));
  }

  #nextDraw(): TokenDraw {
    const { sampling, notBefore, logprobCount, generatedCount = 0 } = this.#request;
    const answerLength = this.#length - this.promptLength;
    if (answerLength === 0) this.#logitChanges ??= createLogitChanges(sampling, this.#prompt.tokenIds, generatedCount);
    const draw = {
      params: sampling,
      drawIndex: generatedCount + answerLength,
      ...(this.#logitChanges && { changes: this.#logitChanges }),
      ...(notBefore && answerLength < notBefore.tokenCount && { bannedIds: notBefore.tokenIds }),
      ...(logprobCount !== undefined && { logprobCount }),
    };
    if (!this.#constraint) return draw;
    return { ...draw, mask: (patienceMs: number) => this.#mask(patienceMs) };
  }

  /** Waits up to `patienceMs` for the mask, which the grammar thread computes during the forward pass. */
  #mask(patienceMs: number): Uint32Array | undefined {
    const mask = this.#constraint?.mask(patienceMs);
    if (mask?.every((word) => word === 0)) throw new EngineError("the answer's grammar allows no token");
    return mask;
  }

  /** int32 [3, end − start] */
  #positions(start: number, end: number): Int32Array {
    const { promptLength } = this;
    const { positions, positionDelta } = this.#prompt;
    const count = end - start;
    const range = new Int32Array(3 * count);
    for (let axis = 0; axis < 3; axis++) {
      for (let i = 0; i < count; i++) {
        const index = start + i;
        const isPrompt = index < promptLength;
        range[axis * count + i] = isPrompt ? positions[axis * promptLength + index]! : index + positionDelta;
      }
    }
    return range;
  }
}
