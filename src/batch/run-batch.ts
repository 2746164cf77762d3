// Sends the requests of a batch with limited concurrency, and writes each result as it arrives.

import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import type { Connection } from "../client/connection.ts";
import { type FailureGroup, FailureGroups, type RequestFailure } from "../client/failure.ts";
import { UserError } from "../core/errors.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import { membersOf, toCount } from "../core/parse-json.ts";
import { ask, type AskOptions, type HttpAnswer, type Outcome, waitUnless } from "./ask.ts";
import type { BatchRequest } from "./batch-input.ts";
import type { BatchResult, LineFile } from "./batch-output.ts";
import { type FileFolder, fileReferences } from "./file-references.ts";

export type Batch = {
  /** Those that are still to be answered. */
  readonly requests: AsyncIterable<BatchRequest>;
  readonly answers: Pick<LineFile, "add">;
  readonly failures: Pick<LineFile, "add">;
  /** Asked instead of the one that a request names. */
  readonly model: string | undefined;
  /** Where the files lie that requests name. */
  readonly folder: FileFolder | undefined;
  readonly concurrency: number;
} & Omit<AskOptions, "wait" | "answeredCount">;

/** Progress of a batch. `waiting` counts those of the running requests that wait for a retry. */
export type BatchProgress = { done: number; running: number; waiting: number; failed: number; tokens: number };

export type BatchFigures = {
  readonly durationMs: number;
  readonly answered: number;
  readonly failed: number;
  readonly failures: readonly FailureGroup[];
  readonly promptTokens: number;
  /** Of them, taken from the server's cache, where it says so. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** So many requests in a row got no answer that the others were not sent. */
  readonly serverIsGone: boolean;
};

/** After so many failed requests in a row, the server counts as gone. */
const mostGivenUp = 3;

/** Ends early when told to stop, or when the server is gone. Counts in `progress`. Throws UserError when nothing can be read or written. */
export async function runBatch(connection: Connection, batch: Batch, progress: BatchProgress): Promise<BatchFigures> {
  const run = new Run(connection, batch, progress);
  await run.work();
  return run.figures();
}

class Run {
  readonly #connection: Connection;
  readonly #batch: Batch;
  readonly #progress: BatchProgress;
  readonly #requests: AsyncIterator<BatchRequest>;
  readonly #stop: LinkedAbort;
  readonly #abort: LinkedAbort;
  readonly #failures = new FailureGroups();
  readonly #beginMs = performance.now();
  readonly #tokens = { prompt: 0, cached: 0, output: 0 };
  #answered = 0;
  #failed = 0;
  #givenUpInRow = 0;
  #serverIsGone = false;

  constructor(connection: Connection, batch: Batch, progress: BatchProgress) {
    this.#connection = connection;
    this.#batch = batch;
    this.#progress = progress;
    this.#requests = batch.requests[Symbol.asyncIterator]();
    this.#stop = new LinkedAbort(batch.stop);
    this.#abort = new LinkedAbort(batch.abort);
    for (const { signal } of [this.#stop, this.#abort]) setMaxListeners(0, signal); // each request under way listens
  }

  async work(): Promise<void> {
    const workers = Array.from({ length: this.#batch.concurrency }, () => this.#answerOneByOne());
    const ends = await Promise.allSettled(workers);
    await this.#requests.return?.();
    this.#stop.unlink();
    this.#abort.unlink();
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  figures(): BatchFigures {
    return {
      durationMs: performance.now() - this.#beginMs,
      answered: this.#answered,
      failed: this.#failed,
      failures: this.#failures.list(),
      promptTokens: this.#tokens.prompt,
      cachedTokens: this.#tokens.cached,
      outputTokens: this.#tokens.output,
      serverIsGone: this.#serverIsGone,
    };
  }

  async #answerOneByOne(): Promise<void> {
    try {
      while (!this.#stop.signal.aborted) {
        const { value: request, done } = await this.#requests.next();
        if (done) return;
        this.#progress.running++;
        await this.#take(request, await this.#ask(request));
        this.#progress.running--;
      }
    } catch (error) {
      // A full disk, or an input that was changed: what the others would get could not be kept.
      this.#stop.abort();
      this.#abort.abort();
      throw error;
    }
  }

  async #ask({ path, body }: BatchRequest): Promise<Outcome> {
    const { folder, model } = this.#batch;
    try {
      for (const reference of folder ? fileReferences(body) : []) await folder!.fill(reference);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // It was there when the input was checked.
      return { type: "failed", failure: { kind: "unreadable file", message: error.message }, isOfServer: false };
    }
    const text = JSON.stringify(model === undefined ? body : { ...body, model });
    const wait = async (ms: number, signal: AbortSignal): Promise<void> => {
      this.#progress.waiting++;
      await waitUnless(ms, signal);
      this.#progress.waiting--;
    };
    const answeredCount = (): number => this.#answered;
    return ask(this.#connection, path, text, { ...this.#batch, answeredCount, stop: this.#stop.signal, abort: this.#abort.signal, wait });
  }

  async #take({ customId }: BatchRequest, outcome: Outcome): Promise<void> {
    if (outcome.type === "stopped") return;
    this.#judgeServer(outcome); // in the order of the outcomes, however long the disk takes for each
    if (outcome.type === "answered") {
      await this.#batch.answers.add(toResult(customId, outcome.answer));
      this.#count(outcome.answer.body);
    } else {
      await this.#batch.failures.add(toResult(customId, outcome.answer, outcome.failure));
      this.#failures.add(outcome.failure);
      this.#failed++;
      this.#progress.failed++;
    }
    this.#progress.done++;
  }

  #judgeServer(outcome: Outcome): void {
    this.#givenUpInRow = outcome.type === "failed" && outcome.isOfServer ? this.#givenUpInRow + 1 : 0;
    if (this.#givenUpInRow < mostGivenUp) return;
    this.#serverIsGone = true;
    this.#stop.abort();
  }

  #count(body: unknown): void {
    const usage = membersOf(membersOf(body)["usage"]);
    // Responses have names of their own for the same.
    const prompt = toCount(usage["prompt_tokens"] ?? usage["input_tokens"]) ?? 0;
    const output = toCount(usage["completion_tokens"] ?? usage["output_tokens"]) ?? 0;
    const cached = toCount(membersOf(usage["prompt_tokens_details"] ?? usage["input_tokens_details"])["cached_tokens"]) ?? 0;
    this.#tokens.prompt += prompt;
    this.#tokens.cached += cached;
    this.#tokens.output += output;
    this.#progress.tokens += output;
    this.#answered++;
  }
}

/** An HTTP answer is a response, whatever it says; without one, there is an error. */
function toResult(customId: string, answer: HttpAnswer | undefined, failure?: RequestFailure): BatchResult {
  return {
    id: `batch_req_${randomUUID().replaceAll("-", "")}`,
    custom_id: customId,
    response: answer ? { status_code: answer.status, request_id: answer.requestId, body: answer.body } : null,
    error: answer || !failure ? null : { code: failure.kind, message: failure.message },
  };
}
