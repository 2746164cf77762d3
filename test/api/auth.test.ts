// Who may ask: keys guard every route, and no web page of another origin gets an answer to read.

import { setImmediate } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { askingClient } from "../../src/core/asking-client.ts";
import { type Call, chatPath, helloEvents, makeApp, post, userSays } from "./make-app.ts";

const comparisons = vi.hoisted(() => [] as [number, number][]);
vi.mock("node:crypto", async (importOriginal) => {
  const crypto = await importOriginal<typeof import("node:crypto")>();
  const timingSafeEqual: typeof crypto.timingSafeEqual = (a, b) => {
    comparisons.push([a.byteLength, b.byteLength]);
    return crypto.timingSafeEqual(a, b);
  };
  return { ...crypto, timingSafeEqual };
});

const keys = ["first-key", "second-key-which-is-longer", "third"];
const { app } = makeApp(undefined, { apiKeys: keys });

/** Every route of the app, with its parameters filled in. */
const routes = app.routes
  .filter(({ path }) => path !== "/*")
  .map(({ method, path }) => ({ method: method === "ALL" ? "PUT" : method, path: path.replaceAll(/:\w+(\{[^}]*\})?/g, "x") }));

test("the routes are known to these tests", () => {
  expect(routes).toEqual(expect.arrayContaining([{ method: "POST", path: "/v1/chat/completions" }]));
  expect(routes.length).toBeGreaterThan(10);
});

describe.each(routes)("$method $path", ({ method, path }) => {
  const init = method === "POST" ? post({}) : { method };

  test.each([
    ["without a key", {}],
    ["with a wrong one", { authorization: "Bearer first-kez" }],
  ])("is open only if it is about health or describes the API, %s", async (_, headers) => {
    const response = await app.request(path, { ...init, headers: { ...init.headers, ...headers } });

    if (path.startsWith("/health") || path === "/docs" || path === "/openapi.json")
      expect(response.status).toBe(method === "GET" ? 200 : 405);
    else expect(response.status).toBe(401);
  });

  test("gives web pages of other origins nothing", async () => {
    const fromPage = { origin: "https://evil.test", authorization: "Bearer third" };
    const preflight = { ...fromPage, "access-control-request-method": method, "access-control-request-headers": "content-type" };
    const answers = [
      await app.request(path, { ...init, headers: { ...init.headers, ...fromPage } }),
      await app.request(path, { method: "OPTIONS", headers: preflight }),
    ];

    for (const { headers } of answers) expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(answers[1]!.status).toBeGreaterThanOrEqual(400);
  });
});

test.each(["first-key", "third", "thirc", "", "first-key-and-more", "x".repeat(10_000)])(
  "the key %.20j is compared with all others by equally long hashes",
  async (key) => {
    comparisons.length = 0;

    const { status } = await app.request("/v1/models", { headers: { "x-api-key": key } });

    expect(status).toBe(keys.includes(key) ? 200 : 401);
    expect(comparisons).toEqual(keys.map(() => [32, 32]));
  },
);

test.each<[path: string, body: object]>([
  [chatPath, userSays("Hi")],
  [chatPath, userSays("Hi", { stream: true })],
  ["/v1/completions", { prompt: "Hi", stream: true }],
  ["/v1/responses", { input: "Hi", stream: true }],
  ["/v1/messages", userSays("Hi", { max_tokens: 9, stream: true })],
])("what waits for its turn before the queue knows whose it is: %s %j", async (path, body) => {
  const seen: (string | undefined)[] = [];
  const script = async function* ({ options }: Call) {
    seen.push(options.clientId, askingClient.getStore());
    await setImmediate();
    seen.push(askingClient.getStore());
    yield* helloEvents;
  };
  const guarded = makeApp(script, { apiKeys: ["first-key"] });
  const response = await guarded.app.request(path, post(body, { authorization: "Bearer first-key" }));
  await response.text();

  expect(seen).toEqual([expect.any(String), seen[0], seen[0]]);
});
