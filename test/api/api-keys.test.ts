import { expect, test } from "vitest";
import { ApiKeys } from "../../src/api/api-keys.ts";
import { chatPath, helloEvents, makeApp, post, usage, userSays } from "./make-app.ts";
import { parseMetrics } from "./parse-metrics.ts";

test("keys of one name are one client, in caches, queues, log and metrics", async () => {
  const apiKeys = new ApiKeys([{ key: "old", name: "research" }, { key: "new", name: "research" }, { key: "other" }]);
  const { app, lines, calls, metrics } = makeApp(helloEvents, { apiKeys });
  for (const key of ["old", "new", "other"]) await app.request(chatPath, post(userSays("Hi"), { "x-api-key": key }));
  await app.request(chatPath, post(userSays("Hi"), { "x-api-key": "wrong" }));
  await app.request(chatPath, post(userSays("Hi", { suffix: "x" }), { "x-api-key": "old" }));

  const other = "d9298a10"; // printf other | sha256sum
  expect(lines.map(({ fields }) => fields["key"])).toEqual(["research", "research", other, undefined, "research"]);
  const [first, second, third] = calls.map(({ options }) => options.clientId);
  expect([second, third === first]).toEqual([first, false]);
  const read = parseMetrics(await metrics.expose());
  const ofKey = (key: string) =>
    ["requests", "prompt_tokens", "generation_tokens"].map((name) => read(`ernie_vl_${name}_by_key_total`, { key }));
  expect([ofKey("research"), ofKey(other)]).toEqual([
    [3, 2 * usage.promptTokens, 2 * 2],
    [1, usage.promptTokens, 2],
  ]);
});
