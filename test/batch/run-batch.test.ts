import { expect, onTestFinished, test } from "vitest";
import { runBatch } from "../../src/batch/run-batch.ts";
import { Connection } from "../../src/client/connection.ts";
import { json, startFakeServer } from "../client/fake-server.ts";

const never = new AbortController().signal;

async function* requests() {
  for (let i = 0; i < 100; i++) yield { customId: `${i}`, path: "/v1/chat/completions", body: {} };
}

test("a disk that is slow with the last answer does not make the server look alive", async () => {
  const server = await startFakeServer((response, _, turn) => {
    if (turn === 0) json(response, 200, { usage: {} });
    else response.socket!.destroy();
  });
  const connection = new Connection(server.url, undefined);
  onTestFinished(() => connection.close());
  let failureCount = 0;
  let finishWriting: () => void = () => {};
  const isWritten = new Promise<void>((resolve) => (finishWriting = resolve));
  const addFailure = async (): Promise<void> => void (++failureCount === 2 && finishWriting());
  const progress = { done: 0, running: 0, waiting: 0, failed: 0, tokens: 0 };

  const figures = await runBatch(
    connection,
    {
      requests: requests(),
      answers: { add: () => isWritten },
      failures: { add: addFailure },
      model: undefined,
      folder: undefined,
      concurrency: 2,
      timeoutMs: 60_000,
      retries: 0,
      stop: never,
      abort: never,
    },
    progress,
  );

  expect(figures).toMatchObject({ answered: 1, serverIsGone: true });
  expect(figures.failed).toBeLessThanOrEqual(4); // three in a row, and one that was under way
});
