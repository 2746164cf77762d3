// Web pages of other origins that the operator names. That all others get nothing is in auth.test.ts.

import { expect, test } from "vitest";
import { chatPath, makeApp, post, userSays } from "./make-app.ts";

const page = "https://chat.example.org";
const { app } = makeApp(undefined, { apiKeys: ["key"], allowedOrigins: [page, "app://obsidian.md"] });

const preflight = (origin: string, headers: Record<string, string> = {}) =>
  app.request(chatPath, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST", ...headers } });

test.each([page, "app://obsidian.md"])("a browser asks whether %s may, without a key, and is told yes", async (origin) => {
  const response = await preflight(origin, {
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    "access-control-request-private-network": "true",
  });

  expect(response.status).toBe(204);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "access-control-allow-origin": origin,
    "access-control-allow-methods": "GET, POST, DELETE",
    "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
    "access-control-allow-private-network": "true",
    vary: "origin",
  });
  expect(response.headers.has("access-control-allow-credentials")).toBe(false);
});

test.each([
  ["an answer", { authorization: "Bearer key" }, {}, 200],
  ["a stream", { authorization: "Bearer key" }, { stream: true }, 200],
  ["a refusal", { authorization: "Bearer key" }, { temperature: 3 }, 400],
  ["a missing key", {}, {}, 401],
])("an allowed page reads %s, and its id", async (_, headers, fields, status) => {
  const response = await app.request(chatPath, post(userSays("Hi", fields), { origin: page, ...(headers as object) }));

  expect(response.status).toBe(status);
  expect(response.headers.get("access-control-allow-origin")).toBe(page);
  expect(response.headers.get("access-control-expose-headers")).toContain("x-request-id");
});

test.each(["https://evil.test", "https://chat.example.org.evil.test", "http://chat.example.org", "null"])(
  "%s gets nothing",
  async (origin) => {
    const asked = await preflight(origin);
    const answer = await app.request(chatPath, post(userSays("Hi"), { origin, authorization: "Bearer key" }));

    expect(asked.status).toBe(401);
    for (const { headers } of [asked, answer]) {
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(headers.get("vary")).toBe("origin"); // no cache takes it for the answer to another page
    }
  },
);

test("any origin is one of them where all are allowed", async () => {
  const open = makeApp(undefined, { apiKeys: ["key"], allowedOrigins: ["*"] }).app;

  const response = await open.request("/v1/models", { headers: { origin: "https://any.test", authorization: "Bearer key" } });

  expect(response.headers.get("access-control-allow-origin")).toBe("https://any.test");
});
