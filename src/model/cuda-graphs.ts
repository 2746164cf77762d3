// Decode steps as CUDA graphs: the kernels of a step, recorded once and launched as one.

import { EngineError } from "../core/errors.ts";
import type { Binding } from "../runtime/session.ts";

/** Batch sizes that are recorded before the first request; larger ones when they first occur. */
const maxWarmBatch = 64;

/**
 * One graph for each batch size, with the size as its id, and no padding to rounder sizes: a padded row would have a slot, whose
 * keys and values it would overwrite, and in a mixture of experts each row reads experts of its own. The price is one recording for
 * each size. Prefill runs kernel by kernel in the same session.
 *
 * A graph is right as long as nothing moves that was bound when it was recorded: `Binding.runAsGraph` refuses to bind anything
 * else, the KV cache and all buffers keep their addresses until the end, and total_sequence_length is the slot's capacity, because a graph
 * keeps the value that an input in host memory had.
 */
export class CudaGraphs {
  readonly #recorded = new Set<number>();

  /** Queues a decode step. ONNX Runtime runs it eagerly and records it when it sees an id first, and replays it from then on. */
  run(binding: Binding, batchSize: number): void {
    try {
      binding.runAsGraph(batchSize);
    } catch (error) {
      if (this.#recorded.has(batchSize)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      const what = `a decode step of ${batchSize} sequences cannot be recorded as a CUDA graph (--cuda-graphs off does without)`;
      throw new EngineError(`${what}: ${reason}`, { cause: error });
    }
    this.#recorded.add(batchSize);
  }
}

/** The largest first, so that the runtime's arena grows once. */
export function warmUpBatchSizes(slotCount: number): number[] {
  const largest = Math.min(slotCount, maxWarmBatch);
  return Array.from({ length: largest }, (_, i) => largest - i);
}
