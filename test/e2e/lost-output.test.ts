// Where the program writes to may be a full disk, or a pipe whose reader has gone.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { freePort } from "../free-port.ts";

const cwd = fileURLToPath(new URL("../..", import.meta.url));

const isUp = (url: string): Promise<boolean> =>
  fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );

const ask = async (url: string): Promise<number> => {
  const body = JSON.stringify({ messages: [{ role: "user", content: "What is your name?" }] });
  return (await fetch(`${url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body })).status;
};

describe.skipIf(!existsSync("/dev/full"))("a server answers, and ends in order, although", () => {
  test.each([
    ["the disk of its log is full", "full"],
    ["nobody reads its log any more", "closed"],
  ])("%s", async (_, way) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const target = way === "full" ? openSync("/dev/full", "w") : "pipe";
    const child = spawn(process.execPath, ["dist/main.js", "serve", "--port", String(port)], { cwd, stdio: ["ignore", target, target] });
    const ended = once(child, "exit");
    child.stdout?.resume();
    await expect.poll(() => isUp(url)).toBe(true);
    child.stdout?.destroy();
    child.stderr?.destroy();

    for (let i = 0; i < 3; i++) expect(await ask(url)).toBe(200);

    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });
});

test.skipIf(!existsSync("/dev/full"))("a command whose output is lost says so by its exit code", async () => {
  const child = spawn(process.execPath, ["dist/main.js", "doctor"], { cwd, stdio: ["ignore", openSync("/dev/full", "w"), "ignore"] });

  expect(await once(child, "exit")).toEqual([1, null]);
});
