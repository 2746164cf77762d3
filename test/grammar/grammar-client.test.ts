import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { askingClient } from "../../src/core/asking-client.ts";
import { EngineError, RequestError } from "../../src/core/errors.ts";
import type { OutputConstraint } from "../../src/core/structured-output.ts";
import { GrammarClient, type GrammarClientOptions } from "../../src/grammar/grammar-client.ts";
import { RemoteMatcher } from "../../src/grammar/mask-exchange.ts";
import { allowedTokens, compileConstraint, endId, randomSource, vocabulary } from "./nano-vocabulary.ts";

const choice = (...texts: string[]): OutputConstraint => ({ format: { type: "choice", texts, param: "choice" }, followsThinking: false });
const anyJson: OutputConstraint = { format: { type: "json_object", whitespace: "flexible" }, followsThinking: false };
const impossible: OutputConstraint = { format: { type: "regex", pattern: "[^\\s\\S]", param: "guided_regex" }, followsThinking: false };
const broken: OutputConstraint = { format: { type: "regex", pattern: "(", param: "response_format.regex" }, followsThinking: false };

const never = new AbortController().signal;
/** For masks that will arrive or fail. */
const patienceMs = 60_000;

const clients: GrammarClient[] = [];
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

/** The real worker, run from the sources: worker threads do not load TypeScript by themselves. */
function fromSources(): Worker {
  const { href } = new URL("../../src/grammar/grammar-worker.ts", import.meta.url);
  const script = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(href)})))`;
  return new Worker(script, { eval: true, workerData: vocabulary });
}

/** By default the time limit is so long that no compilation reaches it, however busy the machine is. */
function makeClient(options: Partial<GrammarClientOptions> = {}): GrammarClient {
  const client = new GrammarClient(vocabulary, { createWorker: fromSources, compileTimeoutMs: 60_000, ...options });
  clients.push(client);
  return client;
}

/** A thread that reports that it is ready, then runs `script`. */
function scripted(script: string): () => Worker {
  return () =>
    new Worker(
      `const { parentPort } = require("node:worker_threads"); parentPort.on("message", (m) => { ${script} }); parentPort.postMessage({ type: "ready" });`,
      { eval: true },
    );
}

/** Blocks its thread, which only `terminate` ends then, without taking the processor from the others. */
const blockForever = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";

describe("the grammar's thread", () => {
  it("gives the engine the masks that the grammar gives, while answers run side by side", async () => {
    const client = makeClient();
    const opened = await Promise.all([client.open(anyJson, never), client.open(choice("yes", "no"), never), client.open(anyJson, never)]);

    for (const [i, handle] of opened.entries()) {
      const constraint = new RemoteMatcher(handle);
      const local = compileConstraint(i === 1 ? choice("yes", "no") : anyJson);
      let state = local.start;
      const random = randomSource(i);
      for (let count = 0; count < 40; count++) {
        const mask = constraint.mask(patienceMs)!;
        expect(constraint.mask(0)).toBe(mask);
        expect(allowedTokens(mask)).toEqual(allowedTokens(local.maskOf(state)));
        const ids = allowedTokens(mask).filter((id) => id !== endId);
        if (ids.length === 0) break;
        const id = ids[Math.floor(random() * ids.length)]!;
        constraint.accept(id);
        state = local.afterToken(state, id)!;
      }
      constraint.close();
    }
  });

  it("refuses what cannot be compiled with the field at fault, and goes on", async () => {
    const client = makeClient();

    await expect(client.open(broken, never)).rejects.toThrow(RequestError);
    await expect(client.open(broken, never)).rejects.toMatchObject({ status: 400, code: "invalid_value", param: "response_format.regex" });
    await expect(client.open(choice(), never)).rejects.toMatchObject({ code: "invalid_value", param: "choice" });
    await expect(client.open(impossible, never)).rejects.toMatchObject({
      code: "invalid_value",
      param: "guided_regex",
      message: "guided_regex: no answer can satisfy the constraint: it contradicts itself",
    });
    const handle = await client.open(choice("a"), never);

    expect(new RemoteMatcher(handle).mask(patienceMs)).toBeInstanceOf(Uint32Array);
  });

  it("reads the beginning of an answer, and gives the masks of its rest", async () => {
    const client = makeClient();
    const local = compileConstraint(anyJson);
    const begun = { text: '{"a": 1', param: "messages[1]" };
    const state = Buffer.from(begun.text).reduce((before, byte) => local.afterByte(before, byte)!, local.start);

    const constraint = new RemoteMatcher(await client.open({ ...anyJson, begun }, never));

    expect(allowedTokens(constraint.mask(patienceMs)!)).toEqual(allowedTokens(local.maskOf(state)));
    const id = allowedTokens(local.maskOf(state))[0]!;
    constraint.accept(id);
    expect(allowedTokens(constraint.mask(patienceMs)!)).toEqual(allowedTokens(local.maskOf(local.afterToken(state, id)!)));
    constraint.close();
  });

  it("refuses a beginning that no answer has, and goes on", async () => {
    const client = makeClient();
    const open = (text: string) => client.open({ ...choice("yes", "no"), begun: { text, param: "messages[1]" } }, never);

    await expect(open("ya")).rejects.toThrow("messages[1]: to go on with an answer that has a form, expected `es` at character 1, got `a`");
    await expect(open("ya")).rejects.toMatchObject({ status: 400, param: "messages[1]" });
    expect(allowedTokens(new RemoteMatcher(await open("yes")).mask(patienceMs)!)).toEqual([endId]);
  });

  it("fails an answer whose token the grammar does not allow, and no other", async () => {
    const client = makeClient();
    const [wrong, right] = [await client.open(choice("yes"), never), await client.open(choice("yes"), never)].map(
      (handle) => new RemoteMatcher(handle),
    );

    wrong!.accept(endId);

    expect(() => wrong!.mask(patienceMs)).toThrow(EngineError);
    expect(right!.mask(patienceMs)).toBeInstanceOf(Uint32Array);
  });

  it("is ended when it misses the deadline, and replaced", async () => {
    let started = 0;
    const createWorker = () => (started++ === 1 ? scripted(blockForever)() : fromSources()); // the second thread compiles new grammars
    const client = makeClient({ createWorker, compileTimeoutMs: 5_000, quickCompileMs: 60_000 });

    await expect(client.open(choice("a"), never)).rejects.toMatchObject({ status: 400, code: "grammar_too_complex" });
    await expect(client.open(choice("a"), never)).resolves.toBeDefined();
    expect(started).toBe(3);
  });

  it("is replaced when it dies, and answers under way learn of it", async () => {
    let started = 0;
    const good = 'parentPort.postMessage({ type: "opened", id: m.id });';
    const createWorker = () => scripted(started++ === 2 ? `if (m.id === 1) throw new Error("out of memory"); ${good}` : good)();
    const client = makeClient({ quickCompileMs: -1, createWorker }); // the third thread serves all
    const handle = await client.open(choice("a"), never);
    const constraint = new RemoteMatcher(handle);

    expect(constraint.mask(0)).toBeUndefined();
    await expect(client.open(choice("b"), never)).rejects.toThrow("the grammar thread failed: out of memory");

    expect(() => constraint.mask(patienceMs)).toThrow("the grammar's thread has ended");
    await expect(client.open(choice("c"), never)).resolves.toBeDefined();
  });

  it.each([
    ["quickly", 60_000],
    ["slowly", -1],
  ])("that a new grammar keeps busy for ever leaves the answers and grammars alone that compile %s", async (_, quickCompileMs) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }); // the deadline is not missed before the test says so
    onTestFinished(() => void vi.useRealTimers());
    let started = 0;
    const busyAtSecond = `if (m.id > 0) ${blockForever} parentPort.postMessage({ type: "opened", id: m.id });`;
    const createWorker = () => (started++ === 1 ? scripted(busyAtSecond)() : fromSources());
    const client = makeClient({ createWorker, quickCompileMs, compileTimeoutMs: 5_000 });
    const constraint = new RemoteMatcher(await client.open(anyJson, never));
    const endless = expect(client.open(choice("a"), never)).rejects.toMatchObject({ code: "grammar_too_complex" });

    constraint.accept(allowedTokens(constraint.mask(patienceMs)!).find((id) => id !== endId)!);
    expect(constraint.mask(patienceMs)).toBeInstanceOf(Uint32Array);
    await client.open(anyJson, never);
    vi.advanceTimersByTime(5_000);
    await endless;

    constraint.accept(allowedTokens(constraint.mask(patienceMs)!).find((id) => id !== endId)!);
    expect(constraint.mask(patienceMs)).toBeInstanceOf(Uint32Array);
  });

  it("waits no longer than told for a mask that does not come", async () => {
    const client = makeClient({ createWorker: scripted('parentPort.postMessage({ type: "opened", id: m.id });') });
    const handle = await client.open(choice("a"), never);

    const constraint = new RemoteMatcher(handle, patienceMs);
    expect(constraint.mask(0)).toBeUndefined();
    expect(constraint.mask(10)).toBeUndefined();
    const hasty = new RemoteMatcher(handle, 20);
    expect(() => hasty.mask(patienceMs)).toThrow("gave no mask within 20 ms");
  });

  it("takes no time for who gave up while others were before it", async () => {
    const seen =
      "if (m.constraint.format.texts[0] === 'busy') setTimeout(() => parentPort.postMessage({ type: 'opened', id: m.id }), 200);";
    const client = makeClient({ createWorker: scripted(`${seen} else ${blockForever}`), quickCompileMs: -1, maxWaiting: 2 });
    const controller = new AbortController();
    const [busy, leaving] = [client.open(choice("busy"), never), client.open(choice("endless"), controller.signal)];
    controller.abort(new Error("gone"));

    await expect(leaving).rejects.toThrow("gone");
    await expect(Promise.all([busy, client.open(choice("busy"), never)])).resolves.toHaveLength(2);
  });

  it("turns requests away when too many wait", async () => {
    const client = makeClient({ createWorker: scripted("for (;;);"), compileTimeoutMs: 100, maxWaiting: 1 });
    const waiting = [client.open(choice("a"), never), client.open(choice("b"), never)].map((open) =>
      open.catch((error: RequestError) => error.status),
    );

    await expect(client.open(choice("c"), never)).rejects.toMatchObject({ status: 429, code: "server_busy" });
    expect(await Promise.all(waiting)).toEqual([400, 400]);
  });

  it("turns away only the client that lets too many wait, and none whose grammar is known", async () => {
    let started = 0;
    const busyAtSecond = `if (m.id > 0) ${blockForever} parentPort.postMessage({ type: "opened", id: m.id });`;
    const createWorker = () => (started++ === 1 ? scripted(busyAtSecond)() : fromSources());
    const client = makeClient({ createWorker, quickCompileMs: 60_000, maxWaiting: 2 });
    await client.open(anyJson, never);
    const refused: string[] = [];
    const open = (key: string, text: string) =>
      askingClient
        .run(key, () => client.open(choice(text), never))
        .catch((error: RequestError) => error.status === 429 && refused.push(text));

    void ["a", "b", "c", "d"].map((text) => open("ann", text));
    void open("bob", "e");

    await expect(askingClient.run("ann", () => client.open(anyJson, never))).resolves.toBeDefined();
    expect(refused).toEqual(["d"]);
  });
});
