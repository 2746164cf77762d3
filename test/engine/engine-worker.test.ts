import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { EngineError, UserError } from "../../src/core/errors.ts";
import { EngineClient } from "../../src/engine/engine-client.ts";
import { makeRequest } from "./fake-model.ts";

const workers: Worker[] = [];

afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.terminate();
});

/** Reads a whole answer that never ends by itself. */
async function readAnswer(client: EngineClient): Promise<void> {
  const request = makeRequest([1, 2], { maxTokens: Infinity });
  for await (const _ of client.submit(request, new AbortController().signal));
}

describe("a worker", () => {
  /** Runs a piece of CommonJS as a worker thread. */
  function startWorker(code: string): Worker {
    const worker = new Worker(`const { parentPort } = require("node:worker_threads"); ${code}`, { eval: true });
    workers.push(worker);
    return worker;
  }

  test("that cannot load makes the start throw its error, with the class it had", async () => {
    const failing = (name: string) => startWorker(`class ${name} extends Error { name = "${name}" }; throw new ${name}("no library")`);
    await expect(EngineClient.start(failing("UserError"))).rejects.toThrow(new UserError("no library"));
    await expect(EngineClient.start(failing("OtherError"))).rejects.toThrow(EngineError);
  });

  test("that warms up reports it until it is ready", async () => {
    const worker = startWorker(
      `for (const done of [1, 2]) parentPort.postMessage({ type: "warming-up", done, total: 2 });
       setTimeout(() => parentPort.postMessage({ type: "ready" }), 20); parentPort.on("message", () => parentPort.close());`,
    );
    const steps: number[][] = [];
    const client = await EngineClient.start(worker, (done, total) => steps.push([done, total]));
    expect(client.isAlive).toBe(true);
    expect(steps).toEqual([
      [1, 2],
      [2, 2],
    ]);
  });

  test("that dies makes open requests throw", async () => {
    const worker = startWorker(
      `parentPort.postMessage({ type: "ready" }); parentPort.on("message", () => { throw new Error("out of memory") });`,
    );
    const client = await EngineClient.start(worker);
    await expect(readAnswer(client)).rejects.toThrow(/out of memory/);
    expect(client.isAlive).toBe(false);
  });

  test("that ends itself makes open requests throw", async () => {
    const worker = startWorker(`parentPort.postMessage({ type: "ready" }); parentPort.on("message", () => process.exit(3));`);
    const client = await EngineClient.start(worker);
    await expect(readAnswer(client)).rejects.toThrow(EngineError);
  });

  test("is closed when its thread has ended", async () => {
    const worker = startWorker(`parentPort.postMessage({ type: "ready" }); parentPort.on("message", () => parentPort.close());`);
    const client = await EngineClient.start(worker);
    const exited = once(worker, "exit");
    await client.close();
    expect(await exited).toEqual([0]);
  });
});
