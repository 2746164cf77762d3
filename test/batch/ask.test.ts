import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ask, type AskOptions, waitUnless } from "../../src/batch/ask.ts";
import { Connection } from "../../src/client/connection.ts";
import { type Behaviour, json, startFakeServer } from "../client/fake-server.ts";

const never = new AbortController().signal;

/** What came of a request, how often it was sent, and how long each wait was to be. */
async function askServer(behaviour: Behaviour, options: Partial<AskOptions> = {}) {
  const server = await startFakeServer(behaviour);
  const connection = new Connection(server.url, undefined);
  const send = vi.spyOn(connection, "send"); // one that times out at once may never reach the server
  onTestFinished(() => connection.close());
  const waits: number[] = [];
  const wait = async (ms: number): Promise<void> => void waits.push(ms);
  const defaults: AskOptions = { timeoutMs: 60_000, retries: 3, answeredCount: () => 0, stop: never, abort: never, wait };
  const outcome = await ask(connection, "/v1/chat/completions", "{}", { ...defaults, ...options });
  return { outcome, tries: send.mock.calls.length, waits };
}

/** Answers so after `count` failures. */
const after =
  (count: number, fail: Behaviour): Behaviour =>
  (response, asked, turn) =>
    turn < count ? fail(response, asked, turn) : json(response, 200, { usage: {} }, { "x-request-id": "r-1" });

const busy = (headers: Record<string, string>): Behaviour => {
  return (response) => json(response, 429, { error: { code: "overloaded", message: "queue is full" } }, headers);
};
const broken: Behaviour = (response) => void response.socket!.destroy();

describe("a request of a batch", () => {
  test("waits as long as a 429 asks, and gives the answer with its request id", async () => {
    const { outcome, waits } = await askServer(after(2, busy({ "retry-after": "7" })));

    expect(waits).toEqual([7000, 7000]);
    expect(outcome).toEqual({ type: "answered", answer: { status: 200, requestId: "r-1", body: { usage: {} } } });
  });

  test("fails when its answer nests so deeply that it could not be written to the output", async () => {
    const { outcome } = await askServer((response) => void response.end("[".repeat(200_000) + "]".repeat(200_000)));

    expect(outcome).toMatchObject({ type: "failed", failure: { kind: "malformed answer" } });
  });

  test("waits no longer than ten minutes, whatever is asked", async () => {
    const { waits } = await askServer(after(1, busy({ "retry-after": "86400" })));

    expect(waits).toEqual([600_000]);
  });

  test.each([
    ["a 408", (response) => json(response, 408, {})],
    ["a 500", (response) => json(response, 500, {})],
    ["a 503", (response) => json(response, 503, {})],
    ["a 429 that asks for no wait", busy({ "retry-after": "0" })],
    ["a 429 that names a time by a clock that is behind", busy({ "retry-after": new Date(Date.now() - 5000).toUTCString() })],
    ["a broken connection", broken],
    [
      "half an answer",
      (response) => void response.writeHead(200, { "content-length": "9" }).write('{"a', () => response.socket?.destroy()),
    ],
  ] satisfies [string, Behaviour][])("is sent again after %s, later each time", async (_, failure) => {
    const { outcome, tries, waits } = await askServer(after(3, failure));

    expect(outcome.type).toBe("answered");
    expect(tries).toBe(4);
    waits.forEach((ms, i) => {
      expect(ms).toBeGreaterThanOrEqual(500 * 2 ** i);
      expect(ms).toBeLessThanOrEqual(1000 * 2 ** i);
    });
  });

  test("is given up after its retries, with the last answer", async () => {
    const { outcome, tries } = await askServer(busy({}), { retries: 2 });

    expect(tries).toBe(3);
    expect(outcome).toMatchObject({
      type: "failed",
      answer: { status: 429 },
      failure: { kind: "HTTP 429 overloaded", message: "queue is full" },
      isOfServer: true,
    });
  });

  test("is not given up after 429s of a server that answers others meanwhile", async () => {
    let answeredCount = 0;

    const { outcome, tries, waits } = await askServer(after(20, busy({})), { answeredCount: () => answeredCount++ });

    expect(outcome.type).toBe("answered");
    expect(tries).toBe(21);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
  });

  test("is given up after 429s of a server that answered others only before", async () => {
    let asked = 0;

    const { tries } = await askServer(busy({}), { answeredCount: () => Math.min(asked++, 1) });

    expect(tries).toBe(5); // the first 429 does not count
  });

  test("is given up after failures other than 429, however many others are answered meanwhile", async () => {
    let answeredCount = 0;

    const { tries } = await askServer((response) => json(response, 500, {}), { answeredCount: () => answeredCount++ });

    expect(tries).toBe(4);
  });

  test.each([
    ["a 400", (response) => json(response, 400, { error: { code: "invalid_value", message: "no" } }), "HTTP 400 invalid_value"],
    ["a 501", (response) => json(response, 501, {}), "HTTP 501"],
    ["a 500 that would come again", (response) => json(response, 500, {}, { "x-should-retry": "false" }), "HTTP 500"],
    ["an answer that is no JSON", (response) => void response.end("<html>"), "malformed answer"],
  ] satisfies [string, Behaviour, string][])("is not sent again after %s", async (_, failure, kind) => {
    const { outcome, tries } = await askServer(failure);

    expect(tries).toBe(1);
    expect(outcome).toMatchObject({ type: "failed", failure: { kind }, isOfServer: false });
  });

  test("is not sent again after a timeout", async () => {
    const { outcome, tries } = await askServer(() => {}, { timeoutMs: 20 });

    expect(tries).toBe(1);
    expect(outcome).toMatchObject({ type: "failed", failure: { kind: "timeout" }, isOfServer: true });
  });

  test("is not sent again once it was told to stop", async () => {
    const stop = new AbortController();

    const { outcome, tries } = await askServer(busy({}), { stop: stop.signal, wait: async () => stop.abort() });

    expect(outcome).toEqual({ type: "stopped" });
    expect(tries).toBe(1);
  });

  test("is as if never sent once not even its answer is waited for", async () => {
    const abort = new AbortController();

    const { outcome, tries } = await askServer(() => abort.abort(), { abort: abort.signal });

    expect(outcome).toEqual({ type: "stopped" });
    expect(tries).toBe(1);
  });

  test("leaves its waiting at once when it is told to stop", async () => {
    const stop = new AbortController();
    const server = await startFakeServer(busy({ "retry-after": "500" }), { onAsked: () => setImmediate(() => stop.abort()) });
    const connection = new Connection(server.url, undefined);
    onTestFinished(() => connection.close());

    const options = { timeoutMs: 60_000, retries: 3, answeredCount: () => 0, stop: stop.signal, abort: never, wait: waitUnless };
    expect(await ask(connection, "/v1/chat/completions", "{}", options)).toEqual({ type: "stopped" });
  });
});
