// The sampler graph and the host's part of sampling: rows of logits → one token each.

import { samplerCandidates, samplerIo } from "../core/graph-io.ts";
import type { TokenDraw } from "../core/batch.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { argmax, drawToken, inverseTemperature, isArgmax } from "./draw-token.ts";
import { TensorBuffer } from "./tensor-buffer.ts";

export class Sampler {
  readonly #binding: Binding;
  readonly #vocabSize: number;
  readonly #candidateCount: number;
  readonly #buffers;

  constructor(runtime: Runtime, session: Session, vocabSize: number, maxRows: number) {
    this.#binding = session.createBinding();
    this.#vocabSize = vocabSize;
    this.#candidateCount = Math.min(samplerCandidates, vocabSize);
    this.#buffers = {
      inverseTemperatures: new TensorBuffer(runtime, "float32", maxRows),
      values: new TensorBuffer(runtime, "float32", maxRows * this.#candidateCount),
      tokenIds: new TensorBuffer(runtime, "int64", maxRows * this.#candidateCount),
      logSumExp: new TensorBuffer(runtime, "float32", maxRows),
    };
  }

  /** Draws a token from row i of `logits` [draws.length, vocab] for each draw that is asked for. */
  draw(logits: TensorBuffer<"float32">, draws: readonly (TokenDraw | undefined)[]): (number | undefined)[] {
    // The logits are in host memory already: what needs no sums over the vocabulary is read off them.
    if (draws.every((draw) => !draw || isArgmax(draw.params))) {
      return draws.map((draw, row) => draw && argmax(this.#row(logits, row)));
    }
    const rows = draws.length;
    const { inverseTemperatures, values, tokenIds, logSumExp } = this.#buffers;
    draws.forEach((draw, row) => {
      inverseTemperatures.data[row] = draw ? inverseTemperature(draw.params) : 1;
    });
    this.#binding.input(samplerIo.logits, logits.shaped(rows, this.#vocabSize));
    this.#binding.input(samplerIo.inverseTemperature, inverseTemperatures.shaped(rows, 1));
    this.#binding.output(samplerIo.values, values.shaped(rows, this.#candidateCount));
    this.#binding.output(samplerIo.tokenIds, tokenIds.shaped(rows, this.#candidateCount));
    this.#binding.output(samplerIo.logSumExp, logSumExp.shaped(rows, 1));
    this.#binding.run();
    return draws.map((draw, row) => {
      if (!draw) return undefined;
      const slice = [row * this.#candidateCount, (row + 1) * this.#candidateCount] as const;
      return drawToken(
        {
          values: values.data.subarray(...slice),
          tokenIds: tokenIds.data.subarray(...slice),
          logSumExp: logSumExp.data[row]!,
          vocabSize: this.#vocabSize,
          fullRow: () => this.#row(logits, row),
        },
        draw,
      );
    });
  }

  #row(logits: TensorBuffer<"float32">, row: number): Float32Array {
    return logits.data.subarray(row * this.#vocabSize, (row + 1) * this.#vocabSize);
  }

  dispose(): void {
    this.#binding.dispose();
    for (const buffer of Object.values(this.#buffers)) buffer.dispose();
  }
}
