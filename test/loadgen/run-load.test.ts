import { describe, expect, onTestFinished, test } from "vitest";
import { Connection } from "../../src/client/connection.ts";
import { runLoad } from "../../src/loadgen/run-load.ts";
import { answerWell, type Behaviour, json, startFakeServer } from "../client/fake-server.ts";

const path = "/v1/chat/completions";
const bodies = (count: number) =>
  Array.from({ length: count }, (_, i) => JSON.stringify({ messages: [{ role: "user", content: `${i}` }], stream: true, max_tokens: 2 }));
const never = new AbortController().signal;

async function connect(behaviour: Behaviour) {
  const server = await startFakeServer(behaviour);
  const connection = new Connection(server.url, undefined);
  onTestFinished(() => connection.close());
  return { server, connection };
}

describe("a load", () => {
  test.each([1, 3, Infinity])("of 9 requests keeps to %d at a time", async (concurrency) => {
    const wanted = Math.min(concurrency, 9);
    let held: (() => void)[] = [];
    let peak = 0;
    // Answers only when as many as wanted are there.
    const { connection } = await connect(async (response, asked, turn) => {
      const isReleased = new Promise<void>((release) => held.push(release));
      peak = Math.max(peak, held.length);
      if (held.length === wanted) {
        for (const release of held) release();
        held = [];
      }
      await isReleased;
      await answerWell()(response, asked, turn);
    });

    const { records } = await runLoad(connection, { bodies: bodies(9), concurrency, path, timeoutMs: 60_000 }, never);

    expect(peak).toBe(wanted);
    expect(records.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(records.every(({ outputTokens, lateMs }) => outputTokens === 2 && lateMs === 0)).toBe(true);
  });

  test("sends no request before its time, and says how late it was", async () => {
    const { connection, server } = await connect(answerWell());
    const arrivalsMs = [0, 40, 80];

    const { records } = await runLoad(connection, { bodies: bodies(3), arrivalsMs, concurrency: Infinity, path, timeoutMs: 60_000 }, never);

    expect(server.asked).toHaveLength(3);
    records.forEach(({ startMs, lateMs }, i) => {
      expect(startMs).toBeGreaterThanOrEqual(arrivalsMs[i]!);
      expect(lateMs).toBeCloseTo(startMs - arrivalsMs[i]!, 9);
    });
  });

  test("counts failures apart and goes on", async () => {
    const { connection } = await connect((response, asked, turn) =>
      turn % 2 === 0 ? answerWell()(response, asked, turn) : json(response, 500, { error: "boom" }),
    );
    const progress = { done: 0, running: 0, failed: 0, tokens: 0 };

    const { records } = await runLoad(connection, { bodies: bodies(6), concurrency: 1, path, timeoutMs: 60_000 }, never, progress);

    expect(records.map(({ failure }) => failure?.kind)).toEqual([undefined, "HTTP 500", undefined, "HTTP 500", undefined, "HTTP 500"]);
    expect(progress).toEqual({ done: 6, running: 0, failed: 3, tokens: 6 });
  });

  test("that is stopped keeps what was done and leaves out what was not", async () => {
    const controller = new AbortController();
    const { connection } = await connect((response, asked, turn) => (turn < 2 ? answerWell()(response, asked, turn) : controller.abort()));

    const { records } = await runLoad(connection, { bodies: bodies(9), concurrency: 1, path, timeoutMs: 60_000 }, controller.signal);

    expect(records.map(({ index }) => index)).toEqual([0, 1]);
  });
});
