// More clients than the server has room for: who is turned away knows when to come back, and one client's crowd does not keep another waiting.

import { setMaxListeners } from "node:events";
import OpenAI, { APIError } from "openai";
import { afterEach, expect, test } from "vitest";
import { type BrokenServer, startBroken } from "./start-broken.ts";

let server: BrokenServer;
afterEach(async () => {
  await server?.stop();
});

const slotCount = 4;
const maxWaiting = 4;
const clientCount = 64;
const question = { model: "ernie-vl-nano", messages: [{ role: "user" as const, content: "Count." }] };
const endless = { ...question, max_completion_tokens: 3500, ignore_eos: true }; // slowed down, more than a minute

test("of 64 clients at once, so many are served, so many wait, and all others get a 429 with when to retry", async () => {
  server = await startBroken("slow", ["--max-num-seqs", String(slotCount), "--max-waiting", String(maxWaiting)]);
  const leave = new AbortController();
  setMaxListeners(clientCount + 1, leave.signal); // each client listens
  const refusals: APIError[] = [];
  const ask = async (): Promise<void> => {
    try {
      await server.client.chat.completions.create(endless, { signal: leave.signal });
    } catch (error) {
      if (!leave.signal.aborted) refusals.push(error as APIError);
    }
  };

  const clients = Array.from({ length: clientCount }, ask);
  await expect.poll(() => refusals.length).toBe(clientCount - slotCount - maxWaiting);
  await expect.poll(server.health).toMatchObject({ running: slotCount, waiting: maxWaiting });
  for (const { status, code, headers } of refusals) {
    expect({ status, code }).toEqual({ status: 429, code: "queue_full" });
    expect(Number(headers!.get("retry-after-ms"))).toBeGreaterThan(0);
    expect(Number(headers!.get("retry-after"))).toBeGreaterThan(0);
  }

  // The official client comes back by itself; meanwhile room is made.
  const statuses: number[] = [];
  const patient = new OpenAI({
    baseURL: `${server.url}/v1`,
    apiKey: "unused",
    maxRetries: 10,
    fetch: async (...request) => {
      const response = await fetch(...request);
      if (statuses.push(response.status) === 1) leave.abort();
      return response;
    },
  });
  const answer = await patient.chat.completions.create({ ...question, temperature: 0 });

  expect(statuses[0]).toBe(429);
  expect(statuses.at(-1)).toBe(200);
  expect(answer.choices[0]?.finish_reason).toBe("stop");
  await Promise.all(clients);
  await expect.poll(server.health).toEqual({ status: "ok", running: 0, waiting: 0 });
});

test("a client with one request does not wait for another's twenty", async () => {
  server = await startBroken("slow", ["--max-num-seqs", "1", "--api-key", "crowd", "single"], { apiKey: "crowd" });
  const some = { ...question, max_completion_tokens: 60, ignore_eos: true }; // slowed down, more than a second

  const crowd = Array.from({ length: 20 }, () => server.client.chat.completions.create(some));
  await expect.poll(async () => (await server.health()).waiting).toBeGreaterThan(10);
  await server.client.withOptions({ apiKey: "single" }).chat.completions.create(some);
  server.breakBy("");
  await Promise.all(crowd);

  const answered = () => server.logLines().filter(({ finishReason }) => finishReason === "length");
  await expect.poll(() => answered().length).toBe(21); // lines follow their answers
  const answers = answered();
  const keys = [...new Set(answers.map(({ key }) => key))];
  const [few, many] = keys.map((key) => answers.filter((line) => line["key"] === key)).toSorted((a, b) => a.length - b.length);
  const waits = many!.map(({ queueMs }) => queueMs as number).toSorted((a, b) => a - b);
  expect([few!.length, many!.length]).toEqual([1, 20]);
  expect(few![0]!["queueMs"]).toBeLessThan(waits[waits.length / 2]!);
});

test("a client whose long answers hold all slots makes room for another's", async () => {
  server = await startBroken("slow", ["--max-num-seqs", "2", "--api-key", "crowd", "single"], { apiKey: "crowd" });
  const leave = new AbortController();
  const crowd = Array.from({ length: 2 }, () =>
    server.client.chat.completions.create(endless, { signal: leave.signal }).catch(() => "left"),
  );
  await expect.poll(server.health).toMatchObject({ running: 2, waiting: 0 });

  const answer = await server.client.withOptions({ apiKey: "single" }).chat.completions.create({ ...question, max_completion_tokens: 5 });
  expect(answer.usage?.completion_tokens).toBe(5);
  await expect.poll(server.health, { message: "both go on" }).toMatchObject({ running: 2, waiting: 0 });
  leave.abort();
  expect(await Promise.all(crowd)).toEqual(["left", "left"]);
});
