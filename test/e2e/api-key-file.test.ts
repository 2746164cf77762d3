import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../temporary-folder.ts";
import { startServer } from "./start-server.ts";

test("a key is replaced while the server runs, and its successor has what it had", async () => {
  const file = join(temporaryFolder(), "keys");
  writeFileSync(file, "research old-key\n");
  const server = await startServer(["--api-key-file", file], "old-key");
  try {
    const ask = async (key: string, body: object) => {
      const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
      const response = await fetch(`${server.url}/v1/responses`, {
        method: "POST",
        headers,
        body: JSON.stringify({ temperature: 0, ...body }),
      });
      return { status: response.status, body: (await response.json()) as { id: string } };
    };
    const first = await ask("old-key", { input: "What is your name?" });
    expect(first.status).toBe(200);
    expect((await ask("new-key", { input: "Hi" })).status).toBe(401);

    writeFileSync(file, "research new-key\n");

    await expect.poll(async () => (await ask("old-key", { input: "Hi" })).status, { timeout: 15_000, interval: 200 }).toBe(401);
    expect((await ask("new-key", { input: "And mine?", previous_response_id: first.body.id })).status).toBe(200);
    expect(server.printed()).toContain(`keys     1 (1 with a name) from ${file}, which is read again when it changes\n`);
    expect(server.logLines()).toContainEqual(expect.objectContaining({ key: "research", status: 200 }));
  } finally {
    await server.stop();
  }
});
