// Loads pictures on separate threads, some in separate processes, so that the event loop never waits for a decoder.

import { Piscina } from "piscina";
import { EngineError, RequestError } from "../core/errors.ts";
import type { ImageConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { unwrapResult, type ImageTask, type PdfRequest, type PdfTask, type TaskResult } from "./image-task.ts";
import { loadApart, needsProcess } from "./load-apart.ts";
import type { ImageRequest } from "./load-image.ts";
import type { PixelBudget } from "./pixel-budget.ts";
import type { RgbImage } from "./rgb-image.ts";
import { maxThreads, turnIsOver, Turns } from "./turns.ts";

/** Time limit for one picture, or for the texts of a PDF. The decoder's own limit normally applies first, but not every decoder checks it. */
const defaultTimeoutMs = 30_000;
/** Time limit for a task whose client has left. Most pictures finish before, and a new thread would cost more than finishing. */
const abandonedMs = 1000;

/** Time for a page, or the texts of a PDF, while other work waits. Most take a tenth of it. After that, the task starts again on the slow thread. */
const defaultTurnMs = 3000;
/** How often to check whether other work waits. */
const lookMs = 100;

/** Time limit for all PDFs of a request, which could otherwise occupy both threads for half an hour. A hundred scans take about 30 s. */
const defaultPagesMs = 120_000;

type ImageLoaderOptions = {
  readonly timeoutMs?: number;
  readonly pagesMs?: number;
  readonly turnMs?: number;
  /** What runs a task; for tests. */
  readonly worker?: URL;
};

export type ImageLoader = {
  /**
   * Loads a picture. Throws RequestError (400 for a bad picture, 429 when too many wait), and the signal's reason when it aborts while the picture
   * waits. File bytes still belong to the caller afterwards; pixels are transferred.
   */
  load(source: Uint8Array | RgbImage, request: ImageRequest, signal: AbortSignal): Promise<ImagePatches>;
  /** The text of each page of a PDF. Throws as `load` does. */
  readPdf(file: Uint8Array, request: PdfRequest, signal: AbortSignal): Promise<readonly string[]>;
  /** Ends the threads. Pictures in progress fail. */
  close(): Promise<void>;
};

/** Threads start with the first picture and stay until a task exceeds its time. Needs the compiled worker, so it works from dist/ only. */
export function createImageLoader(config: ImageConfig, options: ImageLoaderOptions = {}): ImageLoader {
  const { timeoutMs = defaultTimeoutMs, pagesMs = defaultPagesMs, turnMs = defaultTurnMs } = options;
  const { worker = new URL("./image-worker.js", import.meta.url) } = options;
  const turns = new Turns(); // keeps the pool's own queue empty, so that a task's time starts with its work
  const pool = new Piscina<ImageTask | PdfTask, unknown>({
    filename: worker.href,
    minThreads: 0,
    maxThreads,
    idleTimeout: Infinity,
  });
  const start = createStarter(pool);
  const limitOf = createTimeLimits(timeoutMs, pagesMs);
  /** The timers of the pictures in progress. */
  const clocks = new Set<AbortController>();
  // A thread failed while starting. The pool does not say for which picture, so all pictures in progress fail.
  pool.on("error", (cause: Error) => {
    for (const clock of clocks) clock.abort(failure(cause));
  });
  const model = { minPixels: config.minPixels, maxPixels: config.maxPixels };

  async function run<T>(task: ImageTask | PdfTask, late: RequestError, signal: AbortSignal): Promise<T> {
    const work = (givesWay: boolean) => runOnThread(task, late, signal, givesWay);
    return unwrapResult((await turns.run(budgetOf(task), isPdfTask(task), work, signal)) as TaskResult<T>);
  }

  /** Returns `turnIsOver` when a task that `givesWay` was interrupted. Such a task must be able to start again. */
  async function runOnThread(task: ImageTask | PdfTask, late: RequestError, signal: AbortSignal, givesWay: boolean): Promise<unknown> {
    const clock = new AbortController();
    const limit = limitOf(task, late);
    const startMs = performance.now();
    clocks.add(clock);
    let timer = setTimeout(() => clock.abort(limit.error), limit.ms);
    const abandon = () => {
      clearTimeout(timer);
      timer = setTimeout(() => clock.abort(signal.reason), Math.min(abandonedMs, timeoutMs));
    };
    signal.addEventListener("abort", abandon, { once: true });
    const look = () => turns.hasQueue && performance.now() - startMs > turnMs && clock.abort(turnIsOver);
    const looking = givesWay ? setInterval(look, lookMs) : undefined;
    try {
      return await start(task, clock.signal);
    } catch (cause) {
      if (clock.signal.reason === turnIsOver) return turnIsOver;
      throw clock.signal.aborted ? clock.signal.reason : failure(cause);
    } finally {
      clearTimeout(timer);
      clearInterval(looking);
      signal.removeEventListener("abort", abandon);
      clocks.delete(clock);
      limit.take(performance.now() - startMs);
    }
  }

  return {
    load: (source, request, signal) => run({ source, request, model }, tooSlow(request, timeoutMs), signal),
    readPdf: (source, texts, signal) => run({ source, texts }, tooSlow({ page: 0, param: texts.param }, timeoutMs), signal),
    async close() {
      for (const clock of clocks) clock.abort(failure("closed"));
      await pool.destroy();
    },
  };
}

/** Starts a task on a thread of the pool, or in a process of its own. When the signal aborts, the thread or process ends. */
function createStarter(pool: Piscina<ImageTask | PdfTask, unknown>): (task: ImageTask | PdfTask, signal: AbortSignal) => Promise<unknown> {
  const share = createSharedFiles(); // copying a large PDF for each page would block this thread for seconds
  return (task, signal) => {
    const { source, ...rest } = task;
    const isPdf = isPdfTask(task);
    if (!isPdf && source instanceof Uint8Array && needsProcess(source)) return loadApart(task as ImageTask, signal);
    // Cloning a view would clone its whole buffer, so only the picture is copied and then transferred.
    const own = isPdf ? share(source as Uint8Array) : source instanceof Uint8Array ? new Uint8Array(source) : source;
    const { buffer } = own instanceof Uint8Array ? own : own.rgb;
    return pool.run({ source: own, ...rest } as ImageTask | PdfTask, { transferList: isPdf ? [] : [buffer as ArrayBuffer], signal });
  };
}

function isPdfTask(task: ImageTask | PdfTask): boolean {
  return "texts" in task || task.request.page !== undefined;
}

/** The pixel budget, which is the same object for all tasks of a request. */
function budgetOf(task: ImageTask | PdfTask): PixelBudget | undefined {
  return ("texts" in task ? task.texts : task.request).pixelBudget;
}

type TimeLimit = { readonly ms: number; readonly error: RequestError; take(ms: number): void };

/**
 * Returns the time limit of a task and the error for exceeding it; `take` must be called with the time it took. Throws that error when no time is
 * left for the PDFs of its request, which the pixel budget identifies.
 */
function createTimeLimits(timeoutMs: number, pagesMs: number): (task: ImageTask | PdfTask, late: RequestError) => TimeLimit {
  const timeLeft = new WeakMap<PixelBudget, number>();
  return (task, late) => {
    const budget = budgetOf(task);
    if (!isPdfTask(task) || !budget) return { ms: timeoutMs, error: late, take: () => {} };
    const leftMs = () => timeLeft.get(budget) ?? pagesMs;
    const error = leftMs() < timeoutMs ? pagesTooSlow(late.param ?? "", pagesMs) : late;
    if (leftMs() <= 0) throw error;
    return { ms: Math.min(timeoutMs, leftMs()), error, take: (ms) => void timeLeft.set(budget, leftMs() - ms) };
  };
}

/** Copies a PDF to shared memory, once for all of its pages. */
function createSharedFiles(): (file: Uint8Array) => Uint8Array {
  const copies = new WeakMap<Uint8Array, Uint8Array>();
  return (file) => {
    const known = copies.get(file);
    if (known) return known;
    const copy = new Uint8Array(new SharedArrayBuffer(file.length));
    copy.set(file);
    copies.set(file, copy);
    return copy;
  };
}

function failure(cause: unknown): EngineError {
  return new EngineError("the image loader failed", { cause });
}

function pagesTooSlow(param: string, pagesMs: number): RequestError {
  const expected = `PDFs that can all be read and drawn within ${pagesMs / 1000} s`;
  return new RequestError(`${param}: expected ${expected}, got some that take longer; send fewer pages at a time`, {
    code: "invalid_file",
    param,
  });
}

function tooSlow({ page, param }: Pick<ImageRequest, "page" | "param">, timeoutMs: number): RequestError {
  const seconds = timeoutMs / 1000;
  if (page === undefined) {
    const message = `the image takes longer than ${seconds} s to decode; scale it down or save it in another format`;
    return new RequestError(message, { code: "image_parse_error", param });
  }
  const message = `${param}: expected a PDF that can be read in ${seconds} s, got one that takes longer; send its pages as pictures`;
  return new RequestError(message, { code: "invalid_file", param });
}
