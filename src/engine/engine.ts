// The engine: plan, step, commit. Synchronous; it lives in the thread that owns the model.

import { type Batch, entriesOf, type ModelRunner, type SlotId, type StepReport, type StepResult } from "../core/batch.ts";
import { monotonicMs } from "../core/clock.ts";
import { DeviceLostError, messageOf } from "../core/errors.ts";
import { spanLength } from "../core/prompt.ts";
import type { TokenConstraint } from "../core/token-constraint.ts";
import type { EngineRequest, EngineStats, SequenceEvent, SequenceId } from "./engine-protocol.ts";
import { defaultSchedulerOptions, Scheduler, type SchedulerOptions } from "./scheduler.ts";

/** A failed step may merely have needed too much memory. If a one-token step fails as well, this many times in a row, no step will succeed. */
const failedProbesAtTheEnd = 3;

export class Engine {
  readonly #model: ModelRunner;
  readonly #scheduler: Scheduler;
  #failedProbes = 0;
  #stepReport: StepReport | undefined;

  constructor(model: ModelRunner, options: Partial<SchedulerOptions> = {}) {
    this.#model = model;
    this.#scheduler = new Scheduler(model, { ...defaultSchedulerOptions, ...options });
  }

  /**
   * Queues a request. `step` returns its events. Throws RequestError if it can never fit or if the queue is full. The constraint is closed when
   * the sequence ends or is refused. Queue time counts from `sentMs` (by `monotonicMs`).
   */
  submit(id: SequenceId, request: EngineRequest, constraint?: TokenConstraint, sentMs = monotonicMs()): void {
    this.#scheduler.submit(id, request, constraint, sentMs);
  }

  /** Ends a request in any state, with no further event. */
  abort(id: SequenceId): void {
    this.#scheduler.abort(id);
  }

  /** Makes a request end with `finished`, after its next token at the latest. Ignored while it is queued. */
  finish(id: SequenceId): void {
    this.#scheduler.finish(id);
  }

  hasWork(): boolean {
    return this.#scheduler.hasWork();
  }

  /**
   * Runs one step and returns its events in order. If the step fails, its own sequences end with a `failed` event. Throws DeviceLostError when
   * nothing can be computed any more.
   */
  step(): SequenceEvent[] {
    const startMs = performance.now();
    const batch = this.#scheduler.plan();
    if (batch) {
      const result = this.#run(batch);
      this.#stepReport = { kind: batch.type, tokenCount: tokensIn(batch, result), durationMs: performance.now() - startMs };
    }
    if (!this.hasWork()) this.#scheduler.checkIntegrity();
    return this.#scheduler.takeEvents();
  }

  /** The report of the last step; undefined if none ran since the last call. */
  takeStepReport(): StepReport | undefined {
    const report = this.#stepReport;
    this.#stepReport = undefined;
    return report;
  }

  stats(): EngineStats {
    return this.#scheduler.stats();
  }

  /** Throws EngineError if the bookkeeping is inconsistent. */
  checkIntegrity(): void {
    this.#scheduler.checkIntegrity();
  }

  /** The result, or undefined if the step failed. */
  #run(batch: Batch): StepResult | undefined {
    const startMs = performance.now();
    let result: StepResult;
    try {
      result = this.#model.step(batch);
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      this.#scheduler.fail(batch, error);
      this.#probe();
      return undefined;
    }
    this.#failedProbes = 0;
    this.#scheduler.commit(batch, result, performance.now() - startMs);
    return result;
  }

  /** After a failed step, tries the smallest one. Throws DeviceLostError once that has failed too often in a row. */
  #probe(): void {
    try {
      this.#model.step(probeBatch(this.#scheduler.emptySlot()));
      this.#failedProbes = 0;
    } catch (error) {
      this.#failedProbes++;
      if (error instanceof DeviceLostError) throw error;
      if (this.#failedProbes < failedProbesAtTheEnd) return;
      throw new DeviceLostError(`steps keep failing, down to that of a single token: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** A prefill of one token in an unused slot. */
function probeBatch(slot: SlotId): Batch {
  const entry = { slot, start: 0, tokenIds: Int32Array.of(0), positions: new Int32Array(3), visionExpert: new Uint8Array(1) };
  return { type: "prefill", entry: { ...entry, spans: [], draw: undefined } };
}

function tokensIn(batch: Batch, result: StepResult | undefined): number {
  if (batch.type === "encode") return result?.isUnfinished ? 0 : spanLength(batch.image);
  return entriesOf(batch).reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
}
