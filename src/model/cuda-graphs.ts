// Runs decode steps as CUDA graphs: the kernels of a step are captured once and launched as one.

import { messageOf, UserError } from "../core/errors.ts";
import type { Binding } from "../runtime/session.ts";

/** Batch sizes that are captured before the first request. Larger ones are captured when they first occur. */
const maxWarmBatch = 64;

/**
 * There is one graph per batch size, with the size as its id. Batches are not padded to fewer sizes: a padding row would overwrite keys and
 * values of the slot it runs in, and in a mixture of experts every row reads additional experts. Prefill runs kernel by kernel in the same
 * session.
 *
 * A graph stays valid as long as nothing bound at capture moves. `Binding.runAsGraph` refuses other bindings, the KV cache and all buffers keep
 * their addresses, and total_sequence_length is the slot's capacity, because a graph keeps the value that a host input had at capture.
 */
export class CudaGraphs {
  readonly #recorded = new Set<number>();

  /**
   * Queues a decode step. ONNX Runtime captures the graph the first time it sees an id, and replays it from then on. Throws UserError if that is not
   * possible. ONNX Runtime ends the capture then, but whether its session still computes rightly nobody has seen, so the process should end.
   */
  run(binding: Binding, batchSize: number): void {
    try {
      binding.runAsGraph(batchSize);
    } catch (error) {
      if (this.#recorded.has(batchSize)) throw error;
      const what = `a decode step of ${batchSize} sequences cannot be recorded as a CUDA graph (--cuda-graphs off does without)`;
      throw new UserError(`${what}: ${messageOf(error)}`, { cause: error });
    }
    this.#recorded.add(batchSize);
  }
}

/** Batch sizes to capture, the largest first, so that the runtime's arena grows only once. */
export function warmUpBatchSizes(slotCount: number): number[] {
  const largest = Math.min(slotCount, maxWarmBatch);
  return Array.from({ length: largest }, (_, i) => largest - i);
}
