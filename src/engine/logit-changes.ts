// Bias and penalties of one sequence, counted up token by token: what was said is never gone through again.

import type { LogitChanges } from "../core/batch.ts";
import type { SamplingParams } from "../core/sampling.ts";

/** Undefined: the logits stay as they are. The last `generatedCount` tokens of the prompt are the answer's. */
export function createLogitChanges(
  params: SamplingParams,
  promptTokenIds: Int32Array,
  generatedCount = 0,
): SequenceLogitChanges | undefined {
  const { logitBias = [], repetitionPenalty, presencePenalty, frequencyPenalty } = params;
  const isPenalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
  if (!isPenalised && logitBias.length === 0) return undefined;
  const questionLength = promptTokenIds.length - generatedCount;
  const changes = new SequenceLogitChanges(params, promptTokenIds.subarray(0, questionLength));
  for (const tokenId of promptTokenIds.subarray(questionLength)) changes.add(tokenId);
  return changes;
}

/** Bias, then repetition as transformers has it, then presence and frequency as OpenAI has them. */
export class SequenceLogitChanges implements LogitChanges {
  readonly #params: SamplingParams;
  readonly #biases = new Map<number, number>();
  /** Tokens that a penalty concerns → how often they are in the answer. */
  readonly #occurrences = new Map<number, number>();
  /** Tokens that are in both. */
  #overlapCount = 0;
  readonly #isPenalised: boolean;
  readonly #mayPenaltyRaise: boolean;

  constructor(params: SamplingParams, promptTokenIds: Int32Array) {
    const { logitBias = [], repetitionPenalty, presencePenalty, frequencyPenalty } = params;
    this.#params = params;
    this.#isPenalised = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    this.#mayPenaltyRaise = repetitionPenalty < 1 || presencePenalty < 0 || frequencyPenalty < 0;
    for (const [tokenId, bias] of logitBias) this.#biases.set(tokenId, (this.#biases.get(tokenId) ?? 0) + bias);
    if (repetitionPenalty !== 1) for (const tokenId of promptTokenIds) this.#see(tokenId, 0);
  }

  get count(): number {
    return this.#biases.size + this.#occurrences.size - this.#overlapCount;
  }

  /** The answer goes on with this token. */
  add(tokenId: number): void {
    if (this.#isPenalised) this.#see(tokenId, 1);
  }

  *tokenIds(): Generator<number> {
    yield* this.#biases.keys();
    for (const tokenId of this.#occurrences.keys()) if (!this.#biases.has(tokenId)) yield tokenId;
  }

  *risingIds(): Generator<number> {
    if (this.#mayPenaltyRaise) return yield* this.tokenIds();
    for (const [tokenId, bias] of this.#biases) if (bias > 0) yield tokenId;
  }

  has(tokenId: number): boolean {
    return this.#biases.has(tokenId) || this.#occurrences.has(tokenId);
  }

  changed(tokenId: number, scaled: number, inverseTemperature: number): number {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.#params;
    let logit = scaled + (this.#biases.get(tokenId) ?? 0) * inverseTemperature;
    const occurrences = this.#occurrences.get(tokenId);
    if (occurrences === undefined) return Math.fround(logit);
    logit = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    if (occurrences > 0) logit -= (presencePenalty + occurrences * frequencyPenalty) * inverseTemperature;
    return Math.fround(logit);
  }

  #see(tokenId: number, times: number): void {
    const before = this.#occurrences.get(tokenId);
    if (before === undefined && this.#biases.has(tokenId)) this.#overlapCount++;
    this.#occurrences.set(tokenId, (before ?? 0) + times);
  }
}
