import { expect, test } from "vitest";
import { type Envelope, makeApp } from "./make-app.ts";

const { app } = makeApp([], { localNamesOnly: true });

test.each([
  ["localhost", 200],
  ["localhost:8000", 200],
  ["LOCALHOST:8000", 200],
  ["ernie.localhost", 200],
  ["127.0.0.1:8000", 200],
  ["192.168.0.7", 200],
  ["[::1]:8000", 200],
  ["evil.example", 403],
  ["evil.example:8000", 403],
  ["localhost.evil.example", 403],
  ["127.0.0.1.evil.example", 403],
])("without keys, a request to %s gets %i", async (host, status) => {
  for (const path of ["/v1/models", "/health", "/version"]) {
    const response = await app.request(`http://${host}${path}`);

    expect(response.status).toBe(status);
    if (status === 403) expect(((await response.json()) as Envelope).error).toMatchObject({ code: "host_not_allowed" });
  }
});

test("where the operator allows others, names do not matter", async () => {
  const response = await makeApp().app.request("http://ernie.example/v1/models");

  expect(response.status).toBe(200);
});
