// Int4 experts rounded for the inputs that a calibration run gave them. Belongs to one thread, which works through the experts of one layer
// and bank after the other.

import type { MoeConfig } from "../../core/model-config.ts";
import type { CalibrationFile } from "../calibration-file.ts";
import { blockLength, type QuantizedRows, type RoundScale } from "./blockwise.ts";
import { factorize, type Factor } from "./factor.ts";
import { quantizeWithFeedback } from "./feedback.ts";
import { MatrixProducts, type Matrix } from "./matrix-products.ts";
import { chooseExperts } from "./choose-experts.ts";

/** Fewer tokens say too little about what an expert will be fed. */
export const minTokens = 32;
/** Inputs that are looked at together; of an expert with more, as many spread evenly stand for all. */
const maxTokens = 1024;

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

export type Router = {
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
  readonly #file: CalibrationFile;
  readonly #topK: number;
  readonly #tokens: Readonly<Record<Expert["bank"], readonly number[]>>;
  readonly #products = new MatrixProducts();
  /** The last one that was asked for: jobs come in the order of layers and banks. */
  #bank: Bank | undefined;

  constructor(file: CalibrationFile, { topK }: MoeConfig) {
    this.#file = file;
    this.#topK = topK;
    this.#tokens = { text: tokensOfBank(file, "text"), vision: tokensOfBank(file, "vision") };
  }

  /** Undefined when the run had too few tokens for this bank. */
  quantize(expert: Expert, router: Router, roundScale: RoundScale): QuantizedExpert | undefined {
    const tokens = this.#tokens[expert.bank];
    if (tokens.length < minTokens) return undefined;
    const key = `${expert.layer} ${expert.bank}`;
    if (this.#bank?.key !== key) this.#bank = { key, tokens, ...this.#observeBank(expert.layer, tokens, router) };
    const { factor } = this.#bank;
    const hidden = this.#file.hiddenSize;
    const quantize = (values: Float32Array) => quantizeWithFeedback(this.#products, values, hidden, factor, roundScale);
    const downFactor = this.#factorOfDown(expert, this.#bank);
    const width = expert.gate.length / hidden;
    return {
      gate: quantize(expert.gate),
      up: quantize(expert.up),
      down: quantizeWithFeedback(this.#products, expert.down, width, downFactor, roundScale),
    };
  }

  close(): void {
    this.#products.dispose();
    this.#file.close();
  }

  #observeBank(layer: number, tokens: readonly number[], router: Router): Pick<Bank, "factor" | "tokensOf"> {
    const products = this.#products;
    const hidden = this.#file.hiddenSize;
    const expertCount = router.correctionBias.length;
    const tokensOf = Array.from({ length: expertCount }, (): number[] => []);
    const factor = products.scope(() => {
      const weight = products.copy(router.weight, hidden, expertCount);
      const moments = products.allocate(hidden, hidden);
      moments.values.fill(0);
      for (let first = 0; first < tokens.length; first += maxTokens) {
        const some = tokens.slice(first, first + maxTokens);
        products.scope(() => {
          const inputs = this.#inputs(layer, some);
          products.multiply("aᵀ·b", inputs, inputs, moments, moments);
          const logits = products.allocate(some.length, expertCount);
          products.multiply("a·b", inputs, weight, logits);
          const chosen = chooseExperts(logits.values, router.correctionBias, this.#topK);
          chosen.forEach((expert, i) => tokensOf[expert]!.push(some[Math.floor(i / this.#topK)]!));
        });
      }
      return factorize(products, moments);
    });
    return { factor, tokensOf };
  }

  /** Of silu(gate · x) · (up · x) for the inputs x that the expert got, or the whole bank where it got few. */
  #factorOfDown({ layer, index, gate, up }: Expert, { tokens, tokensOf }: Bank): Factor {
    const products = this.#products;
    const own = tokensOf[index]!;
    const some = spread(own.length < minTokens ? tokens : own, maxTokens);
    const hidden = this.#file.hiddenSize;
    const width = gate.length / hidden;
    return products.scope(() => {
      const inputs = this.#inputs(layer, some);
      const project = (weight: Float32Array): Matrix => {
        const out = products.allocate(some.length, width);
        products.scope(() => products.multiply("a·bᵀ", inputs, products.copy(weight, width, hidden), out));
        return out;
      };
      const inner = gated(project(gate), project(up), products);
      const moments = products.allocate(inner.columns, inner.columns);
      products.multiply("aᵀ·b", inner, inner, moments);
      return factorize(products, moments);
    });
  }

  /** [tokens, hidden] */
  #inputs(layer: number, tokens: readonly number[]): Matrix {
    const hidden = this.#file.hiddenSize;
    const inputs = this.#products.allocate(tokens.length, hidden);
    for (let i = 0, end = 0; i < tokens.length; i = end) {
      for (end = i + 1; tokens[end] === tokens[end - 1]! + 1;) end++;
      inputs.values.set(this.#file.rows(layer, tokens[i]!, end - i), i * hidden);
    }
    return inputs;
  }
}

/** In ascending order. */
export function tokensOfBank({ visionExpert }: CalibrationFile, bank: Expert["bank"]): number[] {
  const bit = bank === "vision" ? 1 : 0;
  return [...visionExpert.keys()].filter((token) => visionExpert[token] === bit);
}

/** At most `limit` of the items, at even distances. */
function spread<Item>(items: readonly Item[], limit: number): readonly Item[] {
  if (items.length <= limit) return items;
  return Array.from({ length: limit }, (_, i) => items[Math.floor((i * items.length) / limit)]!);
}

/** silu(gate) · up, with zeros up to whole blocks of columns. */
function gated(gate: Matrix, up: Matrix, products: MatrixProducts): Matrix {
  const { rows, columns } = gate;
  const out = products.allocate(rows, Math.ceil(columns / blockLength) * blockLength);
  out.values.fill(0);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const g = gate.values[row * columns + column]!;
      out.values[row * out.columns + column] = (g / (1 + Math.exp(-g))) * up.values[row * columns + column]!;
    }
  }
  return out;
}
