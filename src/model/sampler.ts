// The sampler graph and the host's part of sampling: rows of logits → one token each.

import { samplerCandidates, samplerIo } from "../core/graph-io.ts";
import type { PromptScoring, StepResult, TokenDraw } from "../core/batch.ts";
import { DeviceLostError, EngineError } from "../core/errors.ts";
import type { PromptTokenLogprobs, TokenLogprobs } from "../core/sampling.ts";
import { isHostMemory, type HostMemory, type Memory } from "../runtime/device.ts";
import { Mirror } from "../runtime/mirror.ts";
import { buildOwned } from "../runtime/owned.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import type { DecoderOutput } from "./decoder.ts";
import { drawFromRow, drawToken, isGreedy } from "./draw-token.ts";
import { packedBytes, TensorPack } from "./tensor-pack.ts";
import { rankOf, tokenLogprobs } from "./token-logprobs.ts";

/** R rows with K candidates each. */
function fieldsOf(R: number, K: number) {
  return {
    values: { dtype: "float32", shape: [R, K] },
    tokenIds: { dtype: "int64", shape: [R, K] },
    logSumExp: { dtype: "float32", shape: [R, 1] },
  } as const;
}

type DrawRow = (row: number, draw: TokenDraw) => number;
type Outcome = { readonly tokenId?: number; readonly logprobs?: TokenLogprobs; readonly error?: EngineError };
type OutputPack = TensorPack<ReturnType<typeof fieldsOf>>;

export class Sampler {
  readonly #runtime: Runtime;
  readonly #vocabSize: number;
  readonly #candidateCount: number;
  readonly #parts;
  /** By row count. */
  readonly #packs = new Map<number, OutputPack>();

  constructor(runtime: Runtime, session: Session, vocabSize: number, maxRows: number) {
    this.#runtime = runtime;
    this.#vocabSize = vocabSize;
    this.#candidateCount = Math.min(samplerCandidates, vocabSize);
    const { device } = runtime;
    this.#parts = buildOwned((owned) => ({
      binding: owned.add(session.createBinding()),
      mirror: owned.add(new Mirror(device, packedBytes(fieldsOf(maxRows, this.#candidateCount)))),
      // On a CPU the logits are in host memory already.
      row: device.kind === "cpu" ? undefined : owned.add(device.allocateHost(vocabSize * Float32Array.BYTES_PER_ELEMENT)),
    }));
  }

  /**
   * Waits for the decoder, and draws a token from row i of its logits for each draw that is asked for. A row that none can be drawn
   * from fails alone. Log-probabilities come from the whole row: the graph's sum is one of scaled logits.
   */
  draw(output: DecoderOutput, draws: readonly (TokenDraw | undefined)[]): StepResult {
    const drawRow = this.#prepare(output, draws);
    const outcomes = draws.map((draw, row) => (draw ? this.#outcome(output, row, draw, drawRow) : {}));
    return {
      tokenIds: outcomes.map(({ tokenId }) => tokenId),
      ...(outcomes.some(({ logprobs }) => logprobs) && { logprobs: outcomes.map(({ logprobs }) => logprobs) }),
      ...(outcomes.some(({ error }) => error) && { errors: outcomes.map(({ error }) => error) }),
    };
  }

  /** Of a prefill that was waited for: how likely each token of the prompt was to come next. Throws EngineError for logits that are not finite. */
  score({ memory }: DecoderOutput, { nextIds, topCount }: PromptScoring): PromptTokenLogprobs[] {
    return Array.from(nextIds, (tokenId, i) => {
      const row = this.#fetchRow(memory, 1 + i);
      const scored = tokenLogprobs(row, tokenId, topCount);
      if (Number.isNaN(scored.logprob)) throw new EngineError("the logits of the prompt are not finite");
      return { ...scored, rank: rankOf(row, tokenId) };
    });
  }

  #outcome({ memory }: DecoderOutput, row: number, draw: TokenDraw, drawRow: DrawRow): Outcome {
    try {
      const tokenId = drawRow(row, draw);
      if (draw.logprobCount === undefined) return { tokenId };
      return { tokenId, logprobs: tokenLogprobs(this.#fetchRow(memory, row), tokenId, draw.logprobCount) };
    } catch (error) {
      if (!(error instanceof EngineError) || error instanceof DeviceLostError) throw error;
      return { error };
    }
  }

  /** Computes what all rows need. */
  #prepare(output: DecoderOutput, draws: readonly (TokenDraw | undefined)[]): DrawRow {
    const { memory } = output;
    if (isHostMemory(memory) && draws.every((draw) => !draw || isGreedy(draw.params))) {
      return (row, draw) => drawFromRow(this.#rowIn(memory, row), draw); // needs no sums over the vocabulary
    }
    const { values, tokenIds, logSumExp } = this.#run(output, draws.length);
    return (row, draw) => {
      const slice = [row * this.#candidateCount, (row + 1) * this.#candidateCount] as const;
      return drawToken(
        {
          values: values.subarray(...slice),
          tokenIds: tokenIds.subarray(...slice),
          logSumExp: logSumExp[row]!,
          vocabSize: this.#vocabSize,
          fullRow: () => this.#fetchRow(memory, row),
        },
        draw,
      );
    };
  }

  dispose(): void {
    for (const pack of this.#packs.values()) pack.dispose();
    this.#parts.owned.dispose();
  }

  #run(output: DecoderOutput, rows: number): OutputPack["arrays"] {
    const pack = this.#packFor(rows);
    const { binding } = this.#parts;
    bindOutputs(binding, pack);
    binding.input(samplerIo.logits, output.logits);
    binding.input(samplerIo.inverseTemperature, output.inverseTemperature);
    binding.run();
    pack.download();
    this.#runtime.device.synchronize();
    return pack.arrays;
  }

  #packFor(rows: number): OutputPack {
    let pack = this.#packs.get(rows);
    if (!pack) this.#packs.set(rows, (pack = new TensorPack(this.#runtime, this.#parts.mirror, fieldsOf(rows, this.#candidateCount))));
    return pack;
  }

  /** The unscaled logits of a row, until the next row is fetched. */
  #fetchRow(memory: Memory, row: number): Float32Array {
    if (isHostMemory(memory)) return this.#rowIn(memory, row);
    const target = this.#parts.row!;
    const rowBytes = this.#vocabSize * Float32Array.BYTES_PER_ELEMENT;
    this.#runtime.device.copy({ memory: target, offset: 0 }, { memory, offset: row * rowBytes }, rowBytes);
    this.#runtime.device.synchronize();
    return this.#rowIn(target, 0);
  }

  #rowIn({ bytes }: HostMemory, row: number): Float32Array {
    return new Float32Array(bytes, row * this.#vocabSize * Float32Array.BYTES_PER_ELEMENT, this.#vocabSize);
  }
}

function bindOutputs(binding: Binding, { tensors }: OutputPack): void {
  binding.output(samplerIo.values, tensors.values);
  binding.output(samplerIo.tokenIds, tensors.tokenIds);
  binding.output(samplerIo.logSumExp, tensors.logSumExp);
}
