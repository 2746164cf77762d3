// Plans the next step and commits its result. Owns the queue and the sequences; KV slots are in kv-slots.ts.

import { entriesOf, type Batch, type BatchEntry, type ModelRunner, type SlotId, type StepResult } from "../core/batch.ts";
import { monotonicMs } from "../core/clock.ts";
import { assert, EngineError, messageOf } from "../core/errors.ts";
import type { GenerationEvent } from "../core/events.ts";
import type { FinishReason, TokenLogprobs } from "../core/sampling.ts";
import type { TokenConstraint } from "../core/token-constraint.ts";
import type { EngineRequest, EngineStats, SequenceEvent, SequenceId } from "./engine-protocol.ts";
import { cutVideo } from "./cut-video.ts";
import { FairQueue } from "./fair-queue.ts";
import { KvSlots, SlotMoveError, type SlotMemory } from "./kv-slots.ts";
import { PrefillPace } from "./prefill-pace.ts";
import { QueueLimit } from "./queue-limit.ts";
import { RoutingRecord } from "./routing-record.ts";
import { Sequence } from "./sequence.ts";
import { findLeader, whoComputes } from "./shared-prefill.ts";
import { findDonors, inOrderOfAdmission, nextToRun } from "./slot-share.ts";
import { answers, withoutLast } from "./step-result.ts";

export type SchedulerOptions = {
  /** Most tokens of one prefill step. */
  readonly prefillChunkTokens: number;
  /** Prefill steps are made shorter where they would take longer than this: running answers pause for one, and new requests wait for it. */
  readonly prefillTargetMs: number;
  /** Most answers that may wait for a slot. Requests beyond are refused. */
  readonly maxWaiting: number;
  /** Where slots share memory: a sequence is admitted only if this many tokens remain for it and each running one to grow. */
  readonly headroomTokens: number;
};

export const defaultSchedulerOptions: SchedulerOptions = {
  prefillChunkTokens: 512,
  prefillTargetMs: 1000,
  maxWaiting: 256,
  headroomTokens: 256,
};

/** The part of the model that the scheduler uses. It never runs a step. */
type SchedulerModel = SlotMemory & Pick<ModelRunner, "hasFeatures" | "maxPatches" | "routing">;

type PlannedStep = { readonly batch: Batch; readonly sequences: readonly Sequence[] };

/**
 * One rule: each sequence's computed tokens catch up with its known tokens. A step is a prefill chunk of one sequence, work for one picture that
 * the chunk needs, or a decode of all sequences that have reached that point. Prefill and decode steps alternate, so running answers pause for
 * one chunk at most. When memory runs out, the youngest sequence is preempted.
 *
 * Call `plan`, then `commit` or `fail`, then `plan` again. `submit`, `abort` and `finish` may be called at any time.
 */
export class Scheduler {
  readonly #model: SchedulerModel;
  readonly #slots: KvSlots;
  /** Slots grow page by page from shared memory, so sequences may be preempted for memory. */
  readonly #canLoseSlot: boolean;
  readonly #pace: PrefillPace;
  readonly #queue = new FairQueue();
  readonly #queueLimit: QueueLimit;
  /** Owners of slots, in order of admission. */
  #running: Sequence[] = [];
  /** Preempted sequences, in order of admission. */
  #preempted: Sequence[] = [];
  #startedCount = 0;
  #planned: PlannedStep | undefined;
  #lastStep: Batch["type"] = "decode";
  /** Prefill turns alternate between the oldest and the shortest prompt. */
  #isShortestNext = false;
  #events: SequenceEvent[] = [];
  #preemptionCount = 0;

  constructor(model: SchedulerModel, options: SchedulerOptions) {
    this.#model = model;
    this.#slots = new KvSlots(model, options.headroomTokens);
    this.#canLoseSlot = model.pages.tokens < model.slotCapacity;
    this.#pace = new PrefillPace(options.prefillChunkTokens, options.prefillTargetMs);
    this.#queueLimit = new QueueLimit(model, options.maxWaiting);
  }

  /** Queues a request. Throws RequestError, with the constraint closed, if it can never fit or if the queue is full. */
  submit(id: SequenceId, request: EngineRequest, constraint: TokenConstraint | undefined, sentMs: number): void {
    try {
      const { prompt, clientId } = request;
      const waiting = this.#queue.all().reduce((sum, { answerCount }) => sum + answerCount, this.#preempted.length);
      const isClientWaiting = this.#queue.lengthOf(clientId) > 0;
      this.#queueLimit.check(request, { running: this.#running.length, waiting, isClientWaiting });
      const { routing, maxPatches, slotCapacity } = this.#model;
      const spans = prompt.spans.flatMap((span) => cutVideo(span, maxPatches));
      const sequence = new Sequence(id, { ...request, prompt: { ...prompt, spans } }, slotCapacity, constraint, sentMs);
      if (request.wantsRouting && routing) sequence.routing = new RoutingRecord(routing, prompt.spans);
      this.#queue.push(sequence);
    } catch (error) {
      constraint?.close();
      throw error;
    }
  }

  /** Ends a sequence in any state, with no further event. Unknown ids are ignored: the sequence may just have ended. */
  abort(id: SequenceId): void {
    this.#events = this.#events.filter(([eventId]) => eventId !== id);
    const sequence = [...this.#queue.all(), ...this.#preempted, ...this.#running].find((sequence) => sequence.id === id);
    if (sequence) this.#end(sequence);
  }

  /** Makes a sequence end with `finished` after its next token, or now if it is preempted. Queued and unknown ids are ignored. */
  finish(id: SequenceId): void {
    const sequence = [...this.#preempted, ...this.#running].find((sequence) => sequence.id === id);
    if (sequence?.status === "waiting") this.#finish(sequence, "length");
    else if (sequence) sequence.maxTokens = 0;
  }

  hasWork(): boolean {
    return this.#queue.length + this.#preempted.length + this.#running.length > 0;
  }

  /** Admits what can run and returns the next step, or undefined if there is nothing to do. */
  plan(): Batch | undefined {
    assert(!this.#planned, "the last step was neither committed nor failed");
    this.#admit();
    this.#planned = this.#lastStep === "decode" ? (this.#planPrefill() ?? this.#planDecode()) : (this.#planDecode() ?? this.#planPrefill());
    return this.#planned?.batch;
  }

  /**
   * Books the result of the planned step. An entry with an error fails its sequence, and its slot's content is forgotten: it may hold
   * non-finite values. A result that does not fit the batch fails the whole step. `durationMs` is how long the model took.
   */
  commit(batch: Batch, result: StepResult, durationMs: number): void {
    const entries = entriesOf(batch);
    if (!answers(result, entries)) {
      this.fail(batch, new EngineError(`the model gave tokens [${result.tokenIds.join(", ")}] in a step of ${entries.length} sequences`));
      return;
    }
    const sequences = this.#takePlanned(batch);
    if (batch.type === "encode" && !result.isUnfinished) sequences[0]?.encodedImages.add(batch.image.hash);
    if (batch.type === "prefill") this.#pace.record(batch.entry.tokenIds.length, durationMs);
    let firstToken = 0;
    for (const [i, planned] of entries.entries()) {
      const sequence = sequences[i];
      assert(sequence, "every entry belongs to a sequence");
      const entry = result.postponed?.[i] ? withoutLast(planned) : planned;
      if (result.chosenExperts) sequence.routing?.add(entry, result.chosenExperts, firstToken);
      firstToken += planned.tokenIds.length;
      const error = result.errors?.[i];
      if (error) this.#failAll([sequence], [entry.slot], error);
      if (sequence.slot === undefined) continue; // it failed, or was aborted during the step
      if (result.promptLogprobs) this.#emit(sequence, { type: "prompt-logprobs", logprobs: result.promptLogprobs });
      this.#advance(sequence, entry, result.tokenIds[i], result.logprobs?.[i]);
    }
  }

  /** Fails the sequences of a step that could not be computed, and forgets the content of their slots. All others go on. */
  fail(batch: Batch, error: unknown): void {
    const slots = entriesOf(batch).map((entry) => entry.slot);
    this.#failAll(this.#takePlanned(batch), slots, error);
  }

  /** An emptied slot that nobody owns, for a trial step. There is always one after a failed step. */
  emptySlot(): SlotId {
    return this.#slots.emptyOldest();
  }

  /** The events since the last call, in order. */
  takeEvents(): SequenceEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  stats(): EngineStats {
    const waiting = this.#queue.length + this.#preempted.length;
    const { usedCount: slotsUsed, usedShare: kvCacheUsage } = this.#slots;
    return { running: this.#running.length, waiting, slotsUsed, kvCacheUsage, preemptions: this.#preemptionCount };
  }

  /** Throws EngineError if a slot has leaked or a sequence's status disagrees with its state. */
  checkIntegrity(): void {
    this.#slots.checkIntegrity(this.#running);
    assert(
      [...this.#queue.all(), ...this.#preempted].every(({ status, computedLength }) => status === "waiting" && computedLength === 0),
      "a waiting sequence has a slot",
    );
    assert(
      this.#queue.all().every(({ started }) => !started),
      "a sequence in the queue has been run",
    );
    assert(
      this.#running.every(({ computedLength, length }) => computedLength < length),
      "a running sequence has nothing to compute",
    );
  }

  /** Gives slots to waiting sequences, strictly in turn: if the next one does not fit, those behind it wait too. */
  #admit(): void {
    const next = (): Sequence | undefined => nextToRun(this.#preempted, this.#queue.heads(), this.#running);
    for (let sequence = next(); sequence; sequence = next()) {
      const donors = findDonors(sequence, this.#running, (owners) => this.#slots.hasRoomFor(sequence, owners));
      if (!donors) return;
      for (const donor of donors) this.#preempt(donor);
      try {
        assert(this.#slots.acquire(sequence), "there is room for what is admitted");
      } catch (error) {
        this.#failMove(error, [sequence]);
        continue;
      }
      sequence.awaited = findLeader(sequence, this.#running);
      if (!sequence.started) this.#start(sequence);
      if (!sequence.awaited) this.#tellStart(sequence);
      this.#preempted = this.#preempted.filter((other) => other !== sequence);
      this.#running = inOrderOfAdmission([...this.#running, sequence]);
    }
  }

  #start(sequence: Sequence): void {
    this.#queue.take(sequence);
    this.#queue.charge(sequence, sequence.promptLength);
    sequence.started = { atMs: monotonicMs(), number: this.#startedCount++ };
  }

  /** Emits `started`, once: as soon as it is known how much of the prompt need not be computed. */
  #tellStart(sequence: Sequence): void {
    const { computedLength: cachedTokens, sentMs, started } = sequence;
    if (sequence.isStartTold || !started) return;
    sequence.isStartTold = true;
    this.#queue.charge(sequence, -cachedTokens);
    this.#emit(sequence, { type: "started", cachedTokens, sentMs, queuedMs: started.atMs - sentMs });
  }

  /** Gives each decoding sequence memory for its next token. If none is left, preempts the youngest until there is. */
  #growDecoding(): void {
    for (const sequence of this.#running.filter(({ status }) => status === "decoding")) {
      try {
        while (sequence.slot !== undefined && !this.#slots.extend(sequence)) this.#preempt(this.#running.at(-1)!);
      } catch (error) {
        this.#failMove(error, [sequence]);
      }
    }
  }

  /** Takes a sequence's slot away until it can run again. What it computed stays in the slot as long as nobody needs the memory. */
  #preempt(sequence: Sequence): void {
    this.#slots.release(sequence);
    sequence.computedLength = 0;
    sequence.encodedImages.clear();
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#preempted = inOrderOfAdmission([...this.#preempted, sequence]);
    this.#preemptionCount++;
  }

  #planPrefill(): PlannedStep | undefined {
    const next = this.#nextPrefilling();
    if (!next) return undefined;
    const sequence = whoComputes(next);
    try {
      if (sequence.awaited) this.#slots.catchUp(sequence);
    } catch (error) {
      this.#failMove(error, []);
      return this.#planPrefill(); // with the remaining sequences, as in #planDecode
    }
    sequence.awaited = undefined;
    this.#tellStart(sequence);
    if (sequence.status === "decoding") return this.#planPrefill(); // all but the last token were copied
    const maxTokens = this.#pace.tokens;
    const entry = sequence.nextEntry(maxTokens);
    const needed = entry.spans.find(({ image }) => !sequence.encodedImages.has(image.hash) && !this.#model.hasFeatures(image));
    const batch: Batch = needed ? { type: "encode", image: needed.image, maxTokens } : { type: "prefill", entry };
    return { batch, sequences: [sequence] };
  }

  /** Alternates between the oldest prompt, so that none starves, and the shortest, so that it need not wait for a long one. */
  #nextPrefilling(): Sequence | undefined {
    const prefilling = this.#running.filter(({ status }) => status === "prefilling");
    const isShortest = this.#isShortestNext;
    this.#isShortestNext = !isShortest;
    if (!isShortest) return prefilling[0];
    const left = ({ length, computedLength }: Sequence): number => length - computedLength;
    return prefilling.reduce<Sequence | undefined>((best, other) => (best && left(best) <= left(other) ? best : other), undefined);
  }

  #planDecode(): PlannedStep | undefined {
    this.#growDecoding();
    const decoding = this.#running.filter(({ status }) => status === "decoding");
    if (decoding.length === 0) return undefined;
    try {
      this.#slots.gatherInFront(decoding);
    } catch (error) {
      this.#failMove(error, []);
      return this.#planDecode(); // with the remaining sequences: each failure ends at least one
    }
    const sequences = decoding.toSorted((a, b) => Number(a.slot) - Number(b.slot));
    return { batch: { type: "decode", entries: sequences.map((sequence) => sequence.nextEntry(1)) }, sequences };
  }

  #takePlanned(batch: Batch): readonly Sequence[] {
    assert(this.#planned?.batch === batch, "this batch is not the planned one");
    const { sequences } = this.#planned;
    this.#planned = undefined;
    this.#lastStep = batch.type;
    return sequences;
  }

  #advance(sequence: Sequence, entry: BatchEntry, tokenId: number | undefined, logprobs: TokenLogprobs | undefined): void {
    sequence.advanceTo(entry.start + entry.tokenIds.length);
    if (tokenId === undefined) return; // the prompt goes on, or the mask is late
    if (!this.#canLoseSlot && sequence.clientId === undefined) sequence.dropPixels();
    sequence.append(tokenId);
    this.#queue.charge(sequence, 1);
    this.#emit(sequence, { type: "token", tokenId, ...(logprobs && { logprobs }) });
    const reason = sequence.finishReason();
    if (reason) this.#finish(sequence, reason);
    else sequence.constrainNext();
  }

  #finish(sequence: Sequence, reason: FinishReason): void {
    this.#end(sequence);
    this.#emit(sequence, { type: "finished", reason, ...(sequence.routing && { routing: sequence.routing.take() }) });
  }

  /** Fails the sequences whose slots a failed swap, copy or resize touched. Any other error is a bug or a lost device and is rethrown. */
  #failMove(error: unknown, acquiring: readonly Sequence[]): void {
    if (!(error instanceof SlotMoveError)) throw error;
    const owners = error.slots.flatMap((slot) => this.#slots.ownerOf(slot) ?? []);
    this.#failAll([...acquiring, ...owners], error.slots, error);
  }

  #failAll(sequences: readonly Sequence[], slots: readonly SlotId[], error: unknown): void {
    const message = messageOf(error);
    for (const sequence of sequences) {
      if (sequence.status === "finished") continue; // aborted during the step
      this.#end(sequence);
      this.#emit(sequence, { type: "failed", message });
    }
    for (const slot of slots) this.#slots.forget(slot);
  }

  #end(sequence: Sequence): void {
    if (sequence.slot !== undefined) this.#slots.release(sequence);
    sequence.end();
    if (sequence.started) this.#queueLimit.noteRun(monotonicMs() - sequence.started.atMs);
    this.#queue.leave(sequence);
    this.#running = this.#running.filter((other) => other !== sequence);
    this.#preempted = this.#preempted.filter((other) => other !== sequence);
  }

  #emit(sequence: Sequence, event: GenerationEvent): void {
    this.#events.push([sequence.id, event]);
  }
}
