// What the engine needs of a constraint on one answer. Masks are computed elsewhere while the model computes the step.

import type { MessagePort } from "node:worker_threads";

/** A constraint on its way to the engine's thread; `port` must be in the transfer list. */
export type ConstraintHandle = {
  readonly port: MessagePort;
  /** The header and the mask. */
  readonly shared: SharedArrayBuffer;
  /** int32 [1]: 1 once the thread that computes masks has ended. */
  readonly ended: SharedArrayBuffer;
};

export interface TokenConstraint {
  /**
   * uint32 [⌈vocab / 32⌉]: bit t of the whole says whether token t may come next. Waits for it no longer than told; undefined when it is
   * still being computed then. Valid until the next `accept`. Throws EngineError when it does not come at all, or when an accepted token
   * was not allowed.
   */
  mask(patienceMs: number): Uint32Array | undefined;
  /** The token that was drawn; what may follow it is computed from now on. Not to be called for an end token. */
  accept(tokenId: number): void;
  /** The answer is over, or given up. */
  close(): void;
}
