// `ernie-vl batch`: checks the requests and the results of earlier runs, sends the rest, and reports the outcome.

import { existsSync, realpathSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type CheckedInput, checkInput, readRequests } from "../batch/batch-input.ts";
import { type EarlierResults, LineFile, mend, readResults } from "../batch/batch-output.ts";
import { FileFolder } from "../batch/file-references.ts";
import { type BatchFigures, type BatchProgress, runBatch } from "../batch/run-batch.ts";
import { Connection } from "../client/connection.ts";
import { chooseModel, listModels } from "../client/server-info.ts";
import { interruptedExitCode, UserError } from "../core/errors.ts";
import { reading, writing } from "../core/file-system.ts";
import { FileLock } from "../runtime/file-lock.ts";
import { printable } from "../core/printable.ts";
import { formatDuration } from "./progress.ts";
import { RequestProgress } from "./request-progress.ts";

export type BatchOptions = {
  readonly input: string;
  readonly output: string;
  readonly url: string;
  readonly model?: string;
  readonly apiKey?: string;
  readonly concurrency: number;
  /** Folder whose files may be sent. */
  readonly files?: string;
  /** File of failures. */
  readonly errors?: string;
  readonly retries: number;
  readonly timeoutMs: number;
};

type Say = (line: string) => void;

/** Answers of large models take minutes. */
const rateWindowMs = 600_000;

/** Sets exit code 1 if not every request was answered, 130 if the user stopped it. Throws UserError if nothing could be sent. */
export async function batch(options: BatchOptions, say: Say): Promise<void> {
  const { input, output, errors = output.replace(/(\.jsonl)?$/, ".errors$1") } = options;
  const written = requireThreeFiles(input, output, errors);
  const locks: FileLock[] = [];
  try {
    for (const path of written) locks.push(FileLock.take(path));
    if (!locks.every(({ isExclusive }) => isExclusive))
      say("output   this file system has no locks: do not write to the same file from two runs at once");
    await batchLocked({ ...options, errors }, say);
  } finally {
    for (const lock of locks) lock.release();
  }
}

async function batchLocked(options: BatchOptions & { readonly errors: string }, say: Say): Promise<void> {
  const { input, output, errors } = options;
  const folder = options.files === undefined ? undefined : new FileFolder(options.files);
  const checked = await checkInput(input, folder);
  const earlier = await readResults(output);
  await readResults(errors); // throws for a file that is not ours to replace
  const connection = new Connection(options.url, options.apiKey);
  try {
    await requireModels(connection, checked, options.model);
    const skipped = [...checked.lines.keys()].filter((id) => earlier.customIds.has(id)).length;
    say(`server   ${connection.baseUrl}`);
    say(
      `input    ${input}: ${requestCount(checked.lines.size)}${skipped > 0 ? `, ${whole(skipped)} already answered by earlier runs` : ""}`,
    );
    if (earlier.tornAtByte !== undefined) say(`output   ${output}: removed an incomplete last line`);
    await mend(output, earlier);
    rmSync(errors, { force: true });
    await sendRest(options, { checked, earlier, skipped, folder, connection }, say);
  } finally {
    connection.close();
  }
}

type Prepared = {
  readonly checked: CheckedInput;
  readonly earlier: EarlierResults;
  /** Requests that earlier runs answered. */
  readonly skipped: number;
  readonly folder: FileFolder | undefined;
  readonly connection: Connection;
};

async function sendRest(options: BatchOptions & { readonly errors: string }, prepared: Prepared, say: Say): Promise<void> {
  const { input, output, errors, concurrency } = options;
  const { checked, earlier, skipped, folder, connection } = prepared;
  const total = checked.lines.size;
  const progress: BatchProgress = { done: skipped, running: 0, waiting: 0, failed: 0, tokens: 0 };
  const display = new RequestProgress(progress, total, { windowMs: rateWindowMs, showsRest: true });
  const interruption = new Interruption(() =>
    display.note(`stopping: waiting for ${requestCount(progress.running)} to finish; press Ctrl-C again to drop them`),
  );
  const files = { answers: new LineFile(output), failures: new LineFile(errors) };
  try {
    const requests = without(readRequests(input), earlier.customIds);
    const { model, retries, timeoutMs } = options;
    const { stop, abort } = interruption;
    const plan = { ...files, requests, model, folder, concurrency: Math.min(concurrency, total), retries, timeoutMs, stop, abort };
    const figures = await runBatch(connection, plan, progress);
    display.stop();
    for (const line of describe(figures, { total, skipped, errors })) say(line);
    if (interruption.stop.aborted) say("stopped  run the same command again to resume");
    if (figures.serverIsGone) say("gone     the server no longer answers; run the same command again to resume once it does");
    const isComplete = skipped + figures.answered === total;
    if (interruption.stop.aborted) process.exitCode = interruptedExitCode;
    else if (!isComplete) process.exitCode = 1;
  } finally {
    display.stop();
    interruption.unlisten();
    await Promise.all([files.answers.close(), files.failures.close()]);
  }
}

/** Returns the real paths of the files to write. Refuses to overwrite the input by mistake, or to replace a device such as /dev/null. */
function requireThreeFiles(input: string, output: string, errors: string): string[] {
  if (!reading(input, () => statSync(input)).isFile()) throw new UserError(`${input}: expected a regular file, as it is read twice`);
  for (const path of [output, errors]) {
    if (existsSync(path) && !statSync(path).isFile()) throw new UserError(`${path}: expected a regular file to write to`);
  }
  const paths = [input, output, errors].map(ownPath);
  if (new Set(paths).size < paths.length) throw new UserError("requests, answers and failures need three different files");
  return paths.slice(1);
}

/** The real path, also of a file that does not exist yet. */
function ownPath(path: string): string {
  return writing(path, () => (existsSync(path) ? realpathSync(path) : join(realpathSync(dirname(resolve(path))), basename(path))));
}

/** Checks model names up front: an unknown one would fail once per line. */
async function requireModels(connection: Connection, { models }: CheckedInput, model: string | undefined): Promise<void> {
  if (model !== undefined) return void (await chooseModel(connection, model));
  const { ids } = await listModels(connection);
  for (const [name, line] of models) {
    if (ids.length === 0 || ids.includes(name)) continue;
    throw new UserError(
      `line ${line} asks for the model ${name}, but ${connection.baseUrl} has ${ids.slice(0, 10).join(", ")}; --model chooses one for all lines`,
    );
  }
}

async function* without<Request extends { readonly customId: string }>(
  requests: AsyncIterable<Request>,
  customIds: ReadonlySet<string>,
): AsyncGenerator<Request> {
  for await (const request of requests) if (!customIds.has(request.customId)) yield request;
}

/** The first Ctrl-C lets running requests finish, the second drops them. */
class Interruption {
  readonly #stop = new AbortController();
  readonly #abort = new AbortController();
  readonly #onSignal: () => void;

  constructor(onStop: () => void) {
    this.#onSignal = () => {
      if (this.#stop.signal.aborted) return this.#abort.abort();
      onStop();
      this.#stop.abort();
    };
    process.on("SIGINT", this.#onSignal).on("SIGTERM", this.#onSignal);
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  get abort(): AbortSignal {
    return this.#abort.signal;
  }

  unlisten(): void {
    process.off("SIGINT", this.#onSignal).off("SIGTERM", this.#onSignal);
  }
}

function describe(figures: BatchFigures, { total, skipped, errors }: { total: number; skipped: number; errors: string }): string[] {
  const { answered, failed, promptTokens, cachedTokens, outputTokens, durationMs } = figures;
  const seconds = durationMs / 1000;
  const left = total - skipped - answered - failed;
  const perSecond = (amount: number): string => whole(seconds > 0 ? amount / seconds : 0);
  const cached = cachedTokens > 0 ? ` (${((100 * cachedTokens) / promptTokens).toFixed(1)} % cached)` : "";
  const parts = [
    `${whole(answered)} answered`,
    ...(failed > 0 ? [`${whole(failed)} failed`] : []),
    ...(left > 0 ? [`${whole(left)} not sent or not finished`] : []),
  ];
  if (skipped === total) return ["", "requests nothing to send: earlier runs answered them all"];
  return [
    "",
    `requests ${parts.join(", ")}, in ${formatDuration(seconds)}`,
    `tokens   ${whole(promptTokens)} in prompts${cached}, ${whole(outputTokens)} in answers`,
    `         ${perSecond(outputTokens)} output tokens/s, ${perSecond(promptTokens + outputTokens)} including prompts`,
    ...figures.failures.map(({ kind, count, example }) => `failed   ${count} × ${printable(`${kind}: ${example}`)}`),
    ...(failed > 0 ? [`         all listed in ${errors}; run the same command again to retry them`] : []),
  ];
}

function requestCount(count: number): string {
  return count === 1 ? "1 request" : `${whole(count)} requests`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
