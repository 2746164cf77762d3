// The sampler graph and the host's part of sampling: rows of logits → one token each.

import { samplerCandidates, samplerIo } from "../core/graph-io.ts";
import type { TokenDraw } from "../core/batch.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Session } from "../runtime/session.ts";
import { drawToken, inverseTemperature } from "./draw-token.ts";
import { TensorBuffer } from "./tensor-buffer.ts";

export class Sampler {
  readonly #session: Session;
  readonly #vocabSize: number;
  readonly #candidateCount: number;
  readonly #buffers;

  constructor(runtime: Runtime, session: Session, vocabSize: number, maxRows: number) {
    this.#session = session;
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
    const rows = draws.length;
    const { inverseTemperatures, values, tokenIds, logSumExp } = this.#buffers;
    draws.forEach((draw, row) => {
      inverseTemperatures.data[row] = draw ? inverseTemperature(draw.params) : 1;
    });
    const binding = this.#session.createBinding();
    try {
      binding.input(samplerIo.logits, logits.shaped(rows, this.#vocabSize));
      binding.input(samplerIo.inverseTemperature, inverseTemperatures.shaped(rows, 1));
      binding.output(samplerIo.values, values.shaped(rows, this.#candidateCount));
      binding.output(samplerIo.tokenIds, tokenIds.shaped(rows, this.#candidateCount));
      binding.output(samplerIo.logSumExp, logSumExp.shaped(rows, 1));
      binding.run();
    } finally {
      binding.dispose();
    }
    return draws.map((draw, row) => {
      if (!draw) return undefined;
      const slice = [row * this.#candidateCount, (row + 1) * this.#candidateCount] as const;
      return drawToken(
        {
          values: values.data.subarray(...slice),
          tokenIds: tokenIds.data.subarray(...slice),
          logSumExp: logSumExp.data[row]!,
          vocabSize: this.#vocabSize,
          fullRow: () => logits.data.subarray(row * this.#vocabSize, (row + 1) * this.#vocabSize),
        },
        draw,
      );
    });
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.dispose();
  }
}
