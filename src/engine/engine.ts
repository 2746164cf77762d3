// The engine: plan, step, commit. Synchronous; it lives in the thread that owns the model.

import type { Batch, ModelRunner, StepResult } from "../core/batch.ts";
import { DeviceLostError } from "../core/errors.ts";
import type { TokenConstraint } from "../core/token-constraint.ts";
import type { EngineRequest, EngineStats, SequenceEvent, SequenceId } from "./engine-protocol.ts";
import { defaultSchedulerOptions, Scheduler, type SchedulerOptions } from "./scheduler.ts";

export class Engine {
  readonly #model: ModelRunner;
  readonly #scheduler: Scheduler;

  constructor(model: ModelRunner, options: Partial<SchedulerOptions> = {}) {
    this.#model = model;
    this.#scheduler = new Scheduler(model, { ...defaultSchedulerOptions, ...options });
  }

  /**
   * Queues a request; its events come out of `step`. Throws RequestError when it can never fit, or when too many wait. The constraint
   * is closed when the sequence ends, and when it is refused.
   */
  submit(id: SequenceId, request: EngineRequest, constraint?: TokenConstraint): void {
    this.#scheduler.submit(id, request, constraint);
  }

  /** Ends a request in any state; no event of it follows. */
  abort(id: SequenceId): void {
    this.#scheduler.abort(id);
  }

  hasWork(): boolean {
    return this.#scheduler.hasWork();
  }

  /**
   * Runs one step and returns its events in order. A step that fails ends its own sequences with a `failed` event. Throws when
   * nothing more can be computed.
   */
  step(): SequenceEvent[] {
    const batch = this.#scheduler.plan();
    if (batch) this.#run(batch);
    if (!this.hasWork()) this.#scheduler.checkIntegrity();
    return this.#scheduler.takeEvents();
  }

  stats(): EngineStats {
    return this.#scheduler.stats();
  }

  /** Throws EngineError when the books contradict themselves. */
  checkIntegrity(): void {
    this.#scheduler.checkIntegrity();
  }

  #run(batch: Batch): void {
    let result: StepResult;
    try {
      result = this.#model.step(batch);
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      this.#scheduler.fail(batch, error);
      return;
    }
    this.#scheduler.commit(batch, result);
  }
}
