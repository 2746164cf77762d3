// Log-probabilities as JSON can hold them.

/** JSON has no infinities, which a logit of minus infinity would lead to. OpenAI says −9999 for what is that improbable. */
export function finiteLogprob(logprob: number): number {
  return Math.max(-9999, logprob);
}
