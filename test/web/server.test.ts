// The page's requests when the connection fails in the middle of them.

import { expect, test } from "vitest";
import { readMetrics } from "../../web/chat/server.ts";

test("figures that break off are those of a server that cannot be reached", async () => {
  const broken = new ReadableStream({ start: (controller) => controller.error(new TypeError("network error")) });
  const connection = { fetch: (async () => new Response(broken)) as typeof fetch, key: "" };

  await expect(readMetrics(connection)).rejects.toMatchObject({ problem: { kind: "unreachable" } });
});
