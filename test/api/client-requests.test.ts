// What well-known programs send is answered, and docs/clients.md names no program whose requests are not known here.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { clientRequests } from "./client-requests.ts";
import { chatPath, makeApp, post } from "./make-app.ts";
import { benchmarkRequests, programRequests } from "./more-client-requests.ts";

const hi = [{ role: "user", content: "Hi" }];
const requests = [...clientRequests, ...benchmarkRequests, ...programRequests];

test.each(requests)("%s", async (_, path, body) => {
  const answer = await makeApp().app.request(path, post(body));
  expect(answer.ok, await answer.text()).toBe(true);
});

/** The first and last cell of each row of the tables of clients. */
function listedClients(): (readonly [client: string, how: string])[] {
  const page = readFileSync(new URL("../../docs/clients.md", import.meta.url), "utf8");
  const tables = page.split("\n\n").filter((block) => block.startsWith("| client |"));
  const rows = tables.flatMap((table) => table.trimEnd().split("\n").slice(2));
  return rows.map((row) => row.split(" | ")).map((cells) => [cells[0]!.slice(2), cells.at(-1)!.replace(/ \|$/, "")]);
}

test("every client that docs/clients.md lists ran in a version, or has its requests here", () => {
  const clients = listedClients();

  expect(clients.length).toBeGreaterThan(20);
  for (const [client, how] of clients) {
    if (how === "replayed") expect(requests.map(([name]) => name)).toContainEqual(expect.stringMatching(`^${client}(, |$)`));
    else expect(how, client).toMatch(/^ran, [\d.]+( .+)?$/);
  }
});

test("-1 tokens, as LM Studio's examples have it, are all that the context has room for", async () => {
  const { app, calls } = makeApp();
  for (const limit of [{ max_tokens: -1 }, { max_completion_tokens: -1 }, {}])
    await app.request(chatPath, post({ messages: hi, ...limit }));
  expect(calls.map(({ options }) => options.maxTokens)).toEqual([undefined, undefined, undefined]);
});
