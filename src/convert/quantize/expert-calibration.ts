// Int4 experts rounded for the inputs that a calibration run gave them. Belongs to one thread, which works through the experts of one layer
// and bank after the other.

import type { MoeConfig } from "../../core/model-config.ts";
import { calibratedInput } from "../calibrated-inputs.ts";
import type { QuantizedRows, RoundScale } from "./blockwise.ts";
import { chooseExperts } from "./choose-experts.ts";
import type { Factor } from "./factor.ts";
import { quantizeWithFeedback } from "./feedback.ts";
import { chunkTokens, minTokens, type RecordedInputs } from "./recorded-inputs.ts";

export type Expert = {
  readonly layer: number;
  readonly bank: "text" | "vision";
  /** Inside the bank. */
  readonly index: number;
  /** [width, hidden] */
  readonly gate: Float32Array;
  readonly up: Float32Array;
  /** [hidden, width] */
  readonly down: Float32Array;
};

type Router = {
  /** [hidden, experts] */
  readonly weight: Float32Array;
  /** [experts] added to the probabilities when experts are chosen */
  readonly correctionBias: Float32Array;
};

export type QuantizedExpert = { readonly gate: QuantizedRows; readonly up: QuantizedRows; readonly down: QuantizedRows };

/** What all experts of a layer's bank have in common. */
type Bank = {
  readonly key: string;
  readonly tokens: readonly number[];
  /** Expert → tokens that chose it. */
  readonly tokensOf: readonly (readonly number[])[];
  /** Of the inputs of gate and up. */
  readonly factor: Factor;
};

export class ExpertCalibration {
  readonly #inputs: RecordedInputs;
  readonly #topK: number;
  readonly #tokens: Readonly<Record<Expert["bank"], readonly number[]>>;
  /** The last one that was asked for: jobs come in the order of layers and banks. */
  #bank: Bank | undefined;

  constructor(inputs: RecordedInputs, { topK }: MoeConfig) {
    this.#inputs = inputs;
    this.#topK = topK;
    this.#tokens = { text: inputs.tokensOf("text"), vision: inputs.tokensOf("vision") };
  }

  /** Undefined when the run had too few tokens for this bank. */
  quantize(expert: Expert, router: Router, roundScale: RoundScale): QuantizedExpert | undefined {
    const tokens = this.#tokens[expert.bank];
    if (tokens.length < minTokens) return undefined;
    const key = `${expert.layer} ${expert.bank}`;
    if (this.#bank?.key !== key) this.#bank = { key, tokens, ...this.#observeBank(expert.layer, tokens, router) };
    const { factor } = this.#bank;
    const { products } = this.#inputs;
    const quantize = (values: Float32Array) => quantizeWithFeedback(products, values, factor.columns, factor, roundScale);
    const width = expert.gate.length / factor.columns;
    return {
      gate: quantize(expert.gate),
      up: quantize(expert.up),
      down: quantizeWithFeedback(products, expert.down, width, this.#factorOfDown(expert, this.#bank), roundScale),
    };
  }

  #observeBank(layer: number, tokens: readonly number[], router: Router): Pick<Bank, "factor" | "tokensOf"> {
    const { products } = this.#inputs;
    const expertCount = router.correctionBias.length;
    const tokensOf = Array.from({ length: expertCount }, (): number[] => []);
    const factor = this.#inputs.factorOf(calibratedInput.experts(layer), tokens, (inputs, some) => {
      products.scope(() => {
        const logits = products.allocate(some.length, expertCount);
        products.scope(() => products.multiply("a·b", inputs, products.copy(router.weight, inputs.columns, expertCount), logits));
        const chosen = chooseExperts(logits.values, router.correctionBias, this.#topK);
        chosen.forEach((expert, i) => tokensOf[expert]!.push(some[Math.floor(i / this.#topK)]!));
      });
    });
    return { factor, tokensOf };
  }

  /** For the inputs that the expert got, or the whole bank where it got few; of many, as many spread evenly as are looked at together. */
  #factorOfDown({ layer, index, gate, up }: Expert, { tokens, tokensOf }: Bank): Factor {
    const own = tokensOf[index]!;
    const some = spread(own.length < minTokens ? tokens : own, chunkTokens);
    return this.#inputs.factorOfGated(calibratedInput.experts(layer), some, { gate, up });
  }
}

/** At most `limit` of the items, at even distances. */
function spread<Item>(items: readonly Item[], limit: number): readonly Item[] {
  if (items.length <= limit) return items;
  return Array.from({ length: limit }, (_, i) => items[Math.floor((i * items.length) / limit)]!);
}
