import { expect, onTestFinished, test } from "vitest";
import { type Batch, runBatch } from "../../src/batch/run-batch.ts";
import { Connection } from "../../src/client/connection.ts";
import { type Behaviour, json, startFakeServer } from "../client/fake-server.ts";

const never = new AbortController().signal;

async function* requests() {
  for (let i = 0; i < 100; i++) yield { customId: `${i}`, path: "/v1/chat/completions", body: {} };
}

/** A batch of a hundred requests that such a server answers, two at a time. */
async function startBatch(behaviour: Behaviour, files: Pick<Batch, "answers" | "failures">) {
  const server = await startFakeServer(behaviour);
  const connection = new Connection(server.url, undefined);
  onTestFinished(() => connection.close());
  const settings = { model: undefined, folder: undefined, concurrency: 2, timeoutMs: 60_000, retries: 0, stop: never, abort: never };
  const progress = { done: 0, running: 0, waiting: 0, failed: 0, tokens: 0 };
  return { server, run: runBatch(connection, { requests: requests(), ...settings, ...files }, progress) };
}

test("a disk that is slow with the last answer does not make the server look alive", async () => {
  let failureCount = 0;
  let finishWriting: () => void = () => {};
  const isWritten = new Promise<void>((resolve) => (finishWriting = resolve));
  const addFailure = async (): Promise<void> => void (++failureCount === 2 && finishWriting());

  const { run } = await startBatch(
    (response, _, turn) => {
      if (turn === 0) json(response, 200, { usage: {} });
      else response.socket!.destroy();
    },
    { answers: { add: () => isWritten }, failures: { add: addFailure } },
  );

  const figures = await run;
  expect(figures).toMatchObject({ answered: 1, serverIsGone: true });
  expect(figures.failed).toBeLessThanOrEqual(4); // three in a row, and one that was under way
});

test("a full disk ends the batch at once, whatever is still under way", async () => {
  const held: (() => void)[] = [];
  const { server, run } = await startBatch(
    (response) => {
      held.push(() => json(response, 200, { usage: {} }));
      if (held.length === 2) held[0]!(); // the other one is never answered
    },
    { answers: { add: () => Promise.reject(new Error("disk full")) }, failures: { add: async () => {} } },
  );

  await expect(run).rejects.toThrow("disk full");
  expect(server.asked).toHaveLength(2);
});
