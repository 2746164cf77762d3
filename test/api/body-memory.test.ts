import { expect, test } from "vitest";
import type { ChatEvent } from "../../src/core/events.ts";
import { BodyMemory } from "../../src/api/body-memory.ts";
import { RequestError } from "../../src/core/errors.ts";
import { chatPath, type Envelope, finished, makeApp, post, started, userSays } from "./make-app.ts";

const body = JSON.stringify(userSays("a".repeat(1000)));
/** A client that is alone has room for two. */
const limits = { allBodiesBytes: 5 * body.length };

/** Answers that end when they are told to. */
function makeHeldApp(apiKeys: readonly string[] = []) {
  const ends: (() => void)[] = [];
  async function* answer(): AsyncGenerator<ChatEvent> {
    yield started;
    await new Promise<void>((resolve) => ends.push(resolve));
    yield finished;
  }
  return { ...makeApp(answer, { limits, apiKeys }), ends };
}

async function statusOf(response: Response | Promise<Response>): Promise<number> {
  return (await response).status;
}

test("bodies count until their requests are over; one too many is asked to come back", async () => {
  const { app, ends } = makeHeldApp();
  const held = [app.request(chatPath, post(body)), app.request(chatPath, post(JSON.stringify({ ...JSON.parse(body), stream: true })))];
  const text = Promise.resolve(held[1]!).then((response) => response.text());
  await expect.poll(() => ends.length).toBe(2);

  const refused = await app.request(chatPath, post(body));

  expect(refused.status).toBe(429);
  expect(refused.headers.get("retry-after-ms")).toBe("2000");
  expect(((await refused.json()) as Envelope).error.code).toBe("server_busy");

  for (const end of ends.splice(0)) end();
  expect(await statusOf(held[0]!)).toBe(200);
  expect(await text).toContain("[DONE]");
  const again = app.request(chatPath, post(body));
  await expect.poll(() => ends.length).toBe(1);
  ends[0]!();
  expect(await statusOf(again)).toBe(200);
});

test("a key is served though another has taken all that it may", async () => {
  const { app, ends } = makeHeldApp(["ann", "bob"]);
  const ask = (key: string) => statusOf(app.request(chatPath, post(body, { authorization: `Bearer ${key}` })));
  const held = [ask("ann"), ask("ann")];
  await expect.poll(() => ends.length).toBe(2);

  expect(await ask("ann")).toBe(429);
  held.push(ask("bob"));
  await expect.poll(() => ends.length).toBe(3);
  expect(await ask("bob")).toBe(429); // it would hold more than it leaves free

  for (const end of ends) end();
  expect(await Promise.all(held)).toEqual([200, 200, 200]);
});

/** Takes as much as a client gets, and returns it. */
function takeAll(memory: BodyMemory, client: string): number {
  for (let bytes = 0; ; bytes++) {
    try {
      memory.take(client, 1);
    } catch (error) {
      if (error instanceof RequestError) return bytes;
      throw error;
    }
  }
}

test("many keys never hold more than the limit; what the first give back goes to those that have less", () => {
  const memory = new BodyMemory(4096);
  const keys = Array.from({ length: 10 }, (_, i) => `key ${i}`);

  const held = keys.map((key) => takeAll(memory, key));

  expect(held).toEqual([2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4]);

  memory.giveBack("key 0", 1024);
  expect(takeAll(memory, "key 0")).toBe(2); // it has 1026 then, and leaves as much
  expect(takeAll(memory, "key 9")).toBe(511);
});

test.each([
  ["refused", "{}"],
  ["too large", JSON.stringify(userSays("a".repeat(3000)))],
  ["no JSON", "x".repeat(900)],
])("a body that is %s leaves nothing behind", async (_, bad) => {
  const { app } = makeApp(undefined, { limits: { ...limits, bodyBytes: 2000 } });

  for (let i = 0; i < 20; i++) expect(await statusOf(app.request(chatPath, post(bad)))).toBeGreaterThanOrEqual(400);

  expect(await statusOf(app.request(chatPath, post(body)))).toBe(200);
});
