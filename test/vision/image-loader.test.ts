import { setTimeout } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { EngineError } from "../../src/core/errors.ts";
import { createImageLoader, type ImageLoader } from "../../src/vision/image-loader.ts";
import { createPixelBudget, type PixelBudget } from "../../src/vision/pixel-budget.ts";

const worker = new URL("./endless-worker.mjs", import.meta.url);
const config = { minPixels: 3136, maxPixels: 50_176 } as Parameters<typeof createImageLoader>[0];
const endless = Uint8Array.of(0);
const request = { param: "messages[0].content[0]" };
/** More than a test has. */
const timeoutMs = 600_000;
const never = new AbortController().signal;

let loader: ImageLoader;
afterEach(() => loader.close());

describe("a picture whose decoding never ends", () => {
  test("is a 400, and its thread is replaced", async () => {
    loader = createImageLoader(config, { worker, timeoutMs: 300 });

    const refusals = await Promise.allSettled([1, 2, 3].map(() => loader.load(endless, request, never)));
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ status: "rejected", reason: { status: 400, code: "image_parse_error", param: request.param } });
    }
    // A thread takes a while to start, which can be too long for this clock.
    const loadFine = () => loader.load(Buffer.from("fine"), request, never).catch(() => undefined);
    await expect.poll(loadFine).toEqual({ hash: "fine" });
  });

  test("and a PDF whose reading never ends, likewise", async () => {
    loader = createImageLoader(config, { worker, timeoutMs: 300 });

    await expect(loader.readPdf(endless, { ...request, maxPages: 10 }, never)).rejects.toMatchObject({
      status: 400,
      code: "invalid_file",
      param: request.param,
      message: `${request.param}: expected a PDF that can be read in 0.3 s, got one that takes longer; send its pages as pictures`,
    });
  });

  test("lets so many others wait, and then no more", async () => {
    loader = createImageLoader(config, { worker, timeoutMs });
    // Two at work, 256 wait, each with a signal of its own, as requests have.
    for (let i = 0; i < 258; i++) void loader.load(endless, request, new AbortController().signal).catch(() => {});

    await expect(loader.load(endless, request, never)).rejects.toMatchObject({
      status: 429,
      code: "too_many_images_queued",
      retryAfterMs: 1000,
    });
  });
});

test("pictures that nobody waits for any more make room for others", async () => {
  loader = createImageLoader(config, { worker, timeoutMs });
  for (let i = 0; i < 2; i++) void loader.load(endless, request, never).catch(() => {});
  const controllers = Array.from({ length: 256 }, () => new AbortController());
  const waiting = Promise.allSettled(controllers.map(({ signal }) => loader.load(endless, request, signal)));
  for (const controller of controllers) controller.abort(new Error("gone"));

  for (const outcome of await waiting) expect(outcome).toEqual({ status: "rejected", reason: new Error("gone") });
  const next = new AbortController();
  const loading = loader.load(endless, request, next.signal); // else refused at once
  next.abort(new Error("gone too"));
  await expect(loading).rejects.toThrow("gone too");
});

test("the PDFs of a request share the time for reading and drawing", async () => {
  loader = createImageLoader(config, { worker, timeoutMs, pagesMs: 300 });
  const load = (source: Uint8Array, pixelBudget: PixelBudget) => loader.load(source, { ...request, page: 0, pixelBudget }, never);
  const spent = createPixelBudget();
  const refusal = { status: 400, code: "invalid_file", param: request.param, message: expect.stringMatching(/within 0\.3 s/) };

  await expect(load(endless, spent)).rejects.toMatchObject(refusal);
  await expect(load(Buffer.from("fine"), spent)).rejects.toMatchObject(refusal);
  const texts = { ...request, maxPages: 10, pixelBudget: spent };
  await expect(loader.readPdf(Buffer.from("fine"), texts, never)).rejects.toMatchObject(refusal);
  // A thread takes a while to start, which can be too long for this clock.
  await expect.poll(() => load(Buffer.from("fine"), createPixelBudget()).catch(() => undefined)).toEqual({ hash: "fine" });
});

describe("a PDF that takes long", () => {
  const start = () =>
    (loader = createImageLoader(config, { worker: new URL("./slow-worker.mjs", import.meta.url), timeoutMs, turnMs: 10 }));
  const load = (fields: { page?: number; pixelBudget: PixelBudget }, signal = never) =>
    loader.load(Uint8Array.of(0), { ...request, ...fields }, signal);
  const read = (pixelBudget: PixelBudget) => loader.readPdf(Uint8Array.of(0), { ...request, maxPages: 10, pixelBudget }, never);
  const begin = () => createPixelBudget(1);
  const end = (budget: PixelBudget) => Atomics.store(budget, 0, 0n);
  const hasBegun = (budget: PixelBudget) => expect.poll(() => budget[0]).toBe(2n);
  const fine = () => load({ pixelBudget: createPixelBudget(0) });

  test("gives way to what waits, and begins anew on a thread for its like", async () => {
    start();
    const budgets = [begin(), begin()] as const;
    const both = Promise.all([read(budgets[0]), load({ page: 0, pixelBudget: budgets[1] })]);
    for (const budget of budgets) await hasBegun(budget);

    expect(await Promise.all([fine(), fine(), fine()])).toEqual([1, 1, 1].map((run) => ({ hash: `run ${run}` })));
    budgets.forEach(end);
    expect(await both).toEqual([{ hash: "run 2" }, { hash: "run 2" }]);
  });

  test("keeps its thread while nobody waits", async () => {
    start();
    const budget = begin();
    const reading = read(budget);
    await hasBegun(budget);

    expect(await fine()).toEqual({ hash: "run 1" }); // on the other thread
    await setTimeout(500); // in which it would be looked several times
    end(budget);
    expect(await reading).toEqual({ hash: "run 1" });
  });

  test("sends the later ones of its request there, but not its pictures", async () => {
    start();
    const [slow, gone] = [begin(), new AbortController()];
    const occupyThread = async () => {
      const pixelBudget = begin();
      void load({ pixelBudget }, gone.signal).catch(() => {}); // a picture does not give way
      await hasBegun(pixelBudget);
    };
    const first = load({ page: 0, pixelBudget: slow });
    await hasBegun(slow);
    await occupyThread();
    await fine();
    await occupyThread();
    end(slow);

    const onPicture = vi.fn();
    void load({ pixelBudget: slow }, gone.signal).then(onPicture, () => {});

    expect(await Promise.all([first, load({ page: 0, pixelBudget: slow })])).toEqual([{ hash: "run 2" }, { hash: "run 1" }]);
    expect(onPicture).not.toHaveBeenCalled();
    gone.abort(new Error("gone"));
  });
});

test("a picture in work that nobody waits for any more has its thread for a second at most", async () => {
  loader = createImageLoader(config, { worker, timeoutMs });
  const gone = new AbortController();
  const loading = Promise.allSettled([1, 2].map(() => loader.load(endless, request, gone.signal)));
  await setTimeout(100); // one that waits would leave the queue at once
  gone.abort(new Error("gone"));

  expect(await loader.load(Buffer.from("fine"), request, never)).toEqual({ hash: "fine" });
  for (const outcome of await loading) expect(outcome).toEqual({ status: "rejected", reason: new Error("gone") });
});

describe("a thread that breaks", () => {
  const brokenWorker = new URL("./broken-worker.mjs", import.meta.url);
  const load = (text: string) => loader.load(Buffer.from(text), request, never);

  test.each(["ends in work", "throws in work", "throws meanwhile"])(
    "and %s fails its picture, and the next has another thread",
    async (way) => {
      loader = createImageLoader(config, { worker: brokenWorker });

      await expect(load(way)).rejects.toThrow(new EngineError("the image loader failed"));

      expect(await load("fine")).toEqual({ hash: "fine" });
    },
  );

  test("before it can work fails the picture that it was for at once", async () => {
    loader = createImageLoader(config, { worker: new URL("./no-such-worker.mjs", import.meta.url), timeoutMs });

    await expect(load("any")).rejects.toThrow(new EngineError("the image loader failed"));
  });
});

test("a PDF is copied once for all its pages, a picture each time", async () => {
  loader = createImageLoader(config, { worker: new URL("./marking-worker.mjs", import.meta.url) });
  const [pdf, picture] = [Uint8Array.of(0), Uint8Array.of(0)];
  const loadAll = async (source: Uint8Array, pages: (number | undefined)[]) => {
    const hashes: string[] = [];
    for (const page of pages) hashes.push((await loader.load(source, { ...request, page }, never)).hash);
    return hashes;
  };

  expect(await loadAll(pdf, [0, 1, 2])).toEqual(["1", "2", "3"]);
  expect(await loadAll(picture, [undefined, undefined])).toEqual(["1", "1"]);
  expect([pdf, picture]).toEqual([Uint8Array.of(0), Uint8Array.of(0)]);
});

test("the caller's bytes stay whole", async () => {
  loader = createImageLoader(config, { worker });
  const bytes = Buffer.from("kept");

  await loader.load(bytes, request, never);

  expect(bytes.toString()).toBe("kept");
});
