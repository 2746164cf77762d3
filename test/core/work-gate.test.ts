import { expect, test } from "vitest";
import { askingClient } from "../../src/core/asking-client.ts";
import { WorkGate } from "../../src/core/work-gate.ts";

/** Starts work that ends on demand, and records the names of what has begun. */
function makeWorks(gate: WorkGate) {
  const began: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const run = (name: string, signal?: AbortSignal) =>
    gate.run(() => {
      began.push(name);
      return new Promise<string>((resolve, reject) => ends.set(name, (error) => (error ? reject(error) : resolve(name))));
    }, signal);
  return { began, run, end: (name: string, error?: Error) => ends.get(name)!(error) };
}

test("works begin in order of arrival, so many at a time, whether those before fail or not", async () => {
  const gate = new WorkGate(2, 10);
  const { began, run, end } = makeWorks(gate);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => run(name));
  await expect.poll(() => began).toEqual(["a", "b"]);

  end("b", new Error("b failed"));
  await expect(b).rejects.toThrow("b failed");
  await expect.poll(() => began).toEqual(["a", "b", "c"]);
  end("c");
  end("a");
  await expect.poll(() => began).toEqual(["a", "b", "c", "d"]);
  end("d");

  expect(await Promise.all([a, c, d])).toEqual(["a", "c", "d"]);
});

test("is full when the queue is, and has room again after", async () => {
  const gate = new WorkGate(1, 1);
  const { run, end, began } = makeWorks(gate);
  const a = run("a");
  expect(gate.isFull).toBe(false);
  const b = run("b");
  expect(gate.isFull).toBe(true);

  end("a");
  await a;
  expect(gate.isFull).toBe(false);
  await expect.poll(() => began).toEqual(["a", "b"]);
  end("b");
  await b;
});

test("a work whose client leaves the queue never begins and holds no place", async () => {
  const gate = new WorkGate(1, 2);
  const { run, end, began } = makeWorks(gate);
  const client = new AbortController();
  const a = run("a");
  const b = run("b", client.signal);
  const c = run("c");

  client.abort(new Error("left"));
  await expect(b).rejects.toThrow("left");
  expect(gate.isFull).toBe(false);
  end("a");
  await a;
  await expect.poll(() => began).toEqual(["a", "c"]);
  end("c");
  await c;
  await expect(run("d", client.signal)).rejects.toThrow("left");
});

test("clients take turns, whatever they have waiting", async () => {
  const gate = new WorkGate(1, 10);
  const { run, end, began } = makeWorks(gate);
  const works = ["a1", "a2", "a3", "b1", "a4", "b2", "c1"].map((name) => askingClient.run(name[0]!, () => run(name)));
  for (const expected of ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]) {
    await expect.poll(() => began.at(-1)).toBe(expected);
    end(expected);
  }
  await Promise.all(works);
});

test("a full queue takes in a client that has less than its share of it", async () => {
  const gate = new WorkGate(1, 4);
  const { run, end, began } = makeWorks(gate);
  const works = [1, 2, 3, 4, 5].map((i) => askingClient.run("a", () => run(`a${i}`)));
  const isFullFor = (client: string) => askingClient.run(client, () => gate.isFull);
  expect([isFullFor("a"), isFullFor("b")]).toEqual([true, false]);
  works.push(...[1, 2].map((i) => askingClient.run("b", () => run(`b${i}`))));
  expect([isFullFor("b"), isFullFor("c")]).toEqual([true, false]);

  for (const count of [1, 2, 3, 4, 5, 6, 7]) {
    await expect.poll(() => began.length).toBe(count);
    end(began.at(-1)!);
  }
  await Promise.all(works);
  expect([isFullFor("a"), gate.hasQueue]).toEqual([false, false]);
});
