import { expect, test } from "vitest";
import { LinkedAbort } from "../../src/core/linked-abort.ts";
import { collectGarbage } from "../collect-garbage.ts";

const never = () => new AbortController().signal;
const endless = new Promise<never>(() => {});

test("a race gives what the work gives, or throws what it throws", async () => {
  const abort = new LinkedAbort(never());
  await expect(abort.race(Promise.resolve(7))).resolves.toBe(7);
  await expect(abort.race(Promise.reject(new Error("broken")))).rejects.toThrow("broken");
});

test("a race ends with the reason when the parent aborts, before it or meanwhile, whatever the work does", async () => {
  const parent = new AbortController();
  const meanwhile = new LinkedAbort(parent.signal).race(endless);
  parent.abort(new Error("gone"));
  await expect(meanwhile).rejects.toThrow("gone");
  await expect(new LinkedAbort(parent.signal).race(endless)).rejects.toThrow("gone");
});

test("what an abort after the work would throw concerns nobody", async () => {
  const abort = new LinkedAbort(never());
  await abort.race(Promise.resolve(7));
  abort.abort(new Error("late"));
  await expect(abort.race(endless)).rejects.toThrow("late");
});

test("nothing that was given is kept: a download comes in thousands of pieces", async () => {
  const abort = new LinkedAbort(never());
  const given = await (async () => new WeakRef(await abort.race(Promise.resolve({ piece: "large" }))))();
  await collectGarbage();
  expect(given.deref()).toBeUndefined();
  abort.abort();
});
