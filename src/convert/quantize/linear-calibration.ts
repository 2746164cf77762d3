// Matrices that see all tokens, rounded to int4 for the inputs that a calibration run gave them. Belongs to one thread.

import type { QuantizedRows, RoundScale } from "./blockwise.ts";
import type { Factor } from "./factor.ts";
import { quantizeWithFeedback } from "./feedback.ts";
import { minTokens, type GateAndUp, type RecordedInputs } from "./recorded-inputs.ts";

export class LinearCalibration {
  readonly #inputs: RecordedInputs;
  readonly #tokens: readonly number[];
  /** The last one that was asked for: the matrices of an input, and the pieces of a matrix, come one after the other. */
  #last: { readonly key: string; readonly factor: Factor } | undefined;

  constructor(inputs: RecordedInputs) {
    this.#inputs = inputs;
    this.#tokens = inputs.tokensOf();
  }

  /**
   * Rows of a matrix [rows, columns] for the input of that name (calibrated-inputs.ts), or for silu(gate · x) · (up · x) of it. Undefined when
   * the run had too few tokens.
   */
  quantize(values: Float32Array, columns: number, roundScale: RoundScale, input: string, gatedBy?: GateAndUp): QuantizedRows | undefined {
    if (this.#tokens.length < minTokens) return undefined;
    const key = gatedBy ? `gated ${input}` : input;
    if (this.#last?.key !== key) {
      const factor = gatedBy ? this.#inputs.factorOfGated(input, this.#tokens, gatedBy) : this.#inputs.factorOf(input, this.#tokens);
      this.#last = { key, factor };
    }
    return quantizeWithFeedback(this.#inputs.products, values, columns, this.#last.factor, roundScale);
  }
}
