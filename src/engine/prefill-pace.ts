// Chooses how much of a prompt a step computes.

/** Chunks are no shorter, and are multiples of this: shorter ones would cost more per token, because each step reads the weights. */
const tileTokens = 64;

/** Weight of the newest step in the moving average. */
const newestShare = 0.5;

/** Makes chunks so short that a step takes about `targetMs`, as far as `tileTokens` allows, on whatever hardware runs it. */
export class PrefillPace {
  readonly #maxTokens: number;
  readonly #targetMs: number;
  #msPerToken: number | undefined;

  constructor(maxTokens: number, targetMs: number) {
    this.#maxTokens = maxTokens;
    this.#targetMs = targetMs;
    if (targetMs === Infinity) this.#msPerToken = 0; // nothing needs to be known
  }

  /** Tokens of the next chunk, at most. The first ones are short, because nothing is known yet. */
  get tokens(): number {
    const tilesInTime = this.#msPerToken === undefined ? 1 : Math.floor(this.#targetMs / (this.#msPerToken * tileTokens));
    return Math.min(this.#maxTokens, Math.max(1, tilesInTime) * tileTokens);
  }

  /** Tells how long a step took. Short ones are ignored, because they say little about long ones. */
  record(tokens: number, ms: number): void {
    if (tokens < Math.min(tileTokens, this.#maxTokens)) return;
    const msPerToken = ms / tokens;
    this.#msPerToken = this.#msPerToken === undefined ? msPerToken : this.#msPerToken + newestShare * (msPerToken - this.#msPerToken);
  }
}
