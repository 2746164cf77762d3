import { expect, test } from "vitest";
import type { ChatEvent } from "../../src/core/events.ts";
import { chatPath, type Envelope, finished, makeApp, post, started, userSays } from "./make-app.ts";

const body = JSON.stringify(userSays("a".repeat(1000)));
const limits = { allBodiesBytes: 2.5 * body.length };

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

test("a key that holds less than its share is served, though another has taken all", async () => {
  const { app, ends } = makeHeldApp(["ann", "bob"]);
  const ask = (key: string) => statusOf(app.request(chatPath, post(body, { authorization: `Bearer ${key}` })));
  const held = [ask("ann"), ask("ann")];
  await expect.poll(() => ends.length).toBe(2);

  expect(await ask("ann")).toBe(429);
  held.push(ask("bob"));
  await expect.poll(() => ends.length).toBe(3);
  expect(await ask("bob")).toBe(429); // its share is half

  for (const end of ends) end();
  expect(await Promise.all(held)).toEqual([200, 200, 200]);
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
