// Loads pictures on threads of their own, so that the event loop never waits for a decoder.

import { Piscina } from "piscina";
import { EngineError, RequestError } from "../core/errors.ts";
import type { ImageConfig } from "../core/model-config.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { unwrapResult, type ImageTask, type PdfRequest, type PdfTask, type TaskResult } from "./image-task.ts";
import type { ImageRequest } from "./load-image.ts";
import type { PixelBudget } from "./pixel-budget.ts";
import type { RgbImage } from "./rgb-image.ts";
import { maxThreads, turnIsOver, Turns } from "./turns.ts";

/** For one picture, or the texts of a PDF. The decoder's own clock ends it before, unless the decoder does not look at it. */
const defaultTimeoutMs = 30_000;
/** For what nobody waits for any more: most pictures end before, and a new thread costs more than they do. */
const abandonedMs = 1000;

/** For a page, or the texts of a PDF, while others wait; most pages take a tenth. After that it begins anew among its like. */
const defaultTurnMs = 3000;
/** How often it is looked whether others wait. */
const lookMs = 100;

/** For the PDFs of a request together, their texts and pages, or one could keep both threads for half an hour. A hundred scans take some 30 s. */
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
   * Throws RequestError: 400 for a bad picture, 429 when too many wait; and the signal's reason when it aborts while the picture waits.
   * Bytes of a file stay the caller's, pixels are given away.
   */
  load(source: Uint8Array | RgbImage, request: ImageRequest, signal: AbortSignal): Promise<ImagePatches>;
  /** The text of each page of a PDF. Throws likewise. */
  readPdf(file: Uint8Array, request: PdfRequest, signal: AbortSignal): Promise<readonly string[]>;
  /** Ends the threads; pictures still in work fail. */
  close(): Promise<void>;
};

/** Threads start with the first picture and stay, as long as each picture comes to an end. Needs the compiled worker: works from dist/ only. */
export function createImageLoader(config: ImageConfig, options: ImageLoaderOptions = {}): ImageLoader {
  const { timeoutMs = defaultTimeoutMs, pagesMs = defaultPagesMs, turnMs = defaultTurnMs } = options;
  const { worker = new URL("./image-worker.js", import.meta.url) } = options;
  const turns = new Turns(); // the pool's own queue stays empty, so a task's clock starts with its work
  const pool = new Piscina<ImageTask | PdfTask, unknown>({
    filename: worker.href,
    minThreads: 0,
    maxThreads,
    idleTimeout: Infinity,
  });
  const share = createSharedFiles(); // a copy for each page of a large PDF would keep this thread busy for seconds
  const limitOf = createTimeLimits(timeoutMs, pagesMs);
  /** Of the pictures in work. */
  const clocks = new Set<AbortController>();
  // A thread failed without a picture: it could not start for one, or broke behind one. Which, the pool does not tell.
  pool.on("error", (cause: Error) => {
    for (const clock of clocks) clock.abort(failure(cause));
  });
  const model = { minPixels: config.minPixels, maxPixels: config.maxPixels };

  async function run<T>(task: ImageTask | PdfTask, late: RequestError, signal: AbortSignal): Promise<T> {
    const work = (givesWay: boolean) => runOnThread(task, late, signal, givesWay);
    return unwrapResult((await turns.run(budgetOf(task), isPdfTask(task), work, signal)) as TaskResult<T>);
  }

  /** Gives `turnIsOver` where it `givesWay`, which is for tasks that can begin anew. */
  async function runOnThread(task: ImageTask | PdfTask, late: RequestError, signal: AbortSignal, givesWay: boolean): Promise<unknown> {
    const { source, ...rest } = task;
    const isPdf = isPdfTask(task);
    // A view is cloned with its whole buffer, so copy just the picture and give that away.
    const own = isPdf ? share(source as Uint8Array) : source instanceof Uint8Array ? new Uint8Array(source) : source;
    const { buffer } = own instanceof Uint8Array ? own : own.rgb;
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
      const options = { transferList: isPdf ? [] : [buffer as ArrayBuffer], signal: clock.signal }; // aborting ends the thread, and another starts
      return await pool.run({ source: own, ...rest } as ImageTask | PdfTask, options);
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
    close: () => pool.destroy(),
  };
}

function isPdfTask(task: ImageTask | PdfTask): boolean {
  return "texts" in task || task.request.page !== undefined;
}

/** The same for all tasks of a request. */
function budgetOf(task: ImageTask | PdfTask): PixelBudget | undefined {
  return ("texts" in task ? task.texts : task.request).pixelBudget;
}

type TimeLimit = { readonly ms: number; readonly error: RequestError; take(ms: number): void };

/**
 * Tells how long a task may take, and the error when it takes longer; `take` is to be told how long it took. Throws that error when no time is
 * left for the PDFs of its request, which is known by its budget of pixels.
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

/** Gives a PDF in memory that all threads see, the same for each of its pages. */
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
  const expected = `PDFs that can be read and drawn in ${pagesMs / 1000} s together`;
  return new RequestError(`${param}: expected ${expected}, got ones that take longer; send fewer pages at a time`, {
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
