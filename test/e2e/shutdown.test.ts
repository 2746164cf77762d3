// How the whole program ends when it is told to.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type OpenAI from "openai";
import { expect, test } from "vitest";
import { signalWhenPrinted, startBroken } from "./start-broken.ts";
import { startServer } from "./start-server.ts";

test.each<NodeJS.Signals>(["SIGTERM", "SIGINT", "SIGHUP"])("%s ends an idle server at once, without an error", async (signal) => {
  const server = await startServer();

  server.kill(signal);

  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(server.printed()).toContain(`${signal}: finishing running answers`);
});

test.each([
  ["that has sent nothing, as browsers open them in advance", ""],
  ["that has sent half a header", "GET /health HT"],
  [
    "that has sent half a body",
    "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
  ],
])("a connection %s does not hold up a stop signal", async (_, sent) => {
  const server = await startServer(["--shutdown-timeout", "3600"]);
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1").on("error", () => undefined);
  socket.write(sent);
  await server.health(); // later than the connection

  expect(await server.stop()).toBe(0);
  socket.destroy();
});

/** As in a container without an init. */
const asProcess1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
const canBeProcess1 = spawnSync(asProcess1[0]!, [...asProcess1.slice(1), "true"]).status === 0;

test("a stop signal while the server converts or loads its model ends it, and the next start is as good as any", async () => {
  const cache = mkdtempSync(join(tmpdir(), "ernie-vl-stopped-"));
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  /** Stops a starting server when it says this. */
  const stopAt = async (line: string, signal: NodeJS.Signals = "SIGTERM", wrapper: readonly string[] = []) => {
    const [program = "", ...args] = [...wrapper, process.execPath, "dist/main.js", "serve", "--port", "0"];
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ERNIE_VL_CACHE: cache, ...signalWhenPrinted(signal, line) },
    });
    let printed = "";
    for (const output of [child.stdout, child.stderr]) output.on("data", (text: Buffer) => (printed += text.toString()));
    const [code, endedBy] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    return { printed, code, signal: endedBy };
  };
  try {
    for (const signal of ["SIGTERM", "SIGHUP"] as const) {
      expect(await stopAt("Converting", signal)).toMatchObject({
        code: 130,
        printed: expect.stringContaining("run the same command again to resume"),
      });
    }
    const server = await startServer([], "unused", { ERNIE_VL_CACHE: cache });
    expect(await server.stop()).toBe(0);
    expect(await stopAt("media ")).toMatchObject({ signal: "SIGTERM", printed: expect.not.stringContaining("Listening") });
    // Process 1 is not ended by the signal itself.
    if (canBeProcess1)
      expect(await stopAt("media ", "SIGTERM", asProcess1)).toMatchObject({ code: 143, printed: expect.not.stringContaining("Listening") });

    const next = await startServer([], "unused", { ERNIE_VL_CACHE: cache });

    expect(next.printed()).not.toContain("Converting");
    expect(await next.health()).toMatchObject({ status: "ok" });
    expect(await next.stop()).toBe(0);
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test("a stop signal lets a running answer finish", async () => {
  const server = await startServer();
  const stream = await server.client.chat.completions.create({
    model: "ernie-vl-nano",
    messages: [{ role: "user", content: "What is your name?" }],
    temperature: 0,
    stream: true,
  });
  let exitCode: Promise<number | null> | undefined;
  let answer = "";

  for await (const chunk of stream) {
    exitCode ??= server.stop();
    answer += chunk.choices[0]?.delta.content ?? "";
  }

  expect(answer).toBe("I am ERNIE-VL nano, a tiny test model that looks at pictures and text.");
  expect(await exitCode).toBe(0);
});

test("a stop signal lets an answer that must have a form finish, and ends the thread of its grammar", async () => {
  const server = await startServer();
  const stream = await server.client.chat.completions.create({
    model: "ernie-vl-nano",
    messages: [{ role: "user", content: "Count." }],
    stream: true,
    guided_regex: "(one, ){60}two",
  } as OpenAI.ChatCompletionCreateParamsStreaming);
  let exitCode: Promise<number | null> | undefined;
  let answer = "";

  for await (const chunk of stream) {
    exitCode ??= server.stop();
    answer += chunk.choices[0]?.delta.content ?? "";
  }

  expect(answer).toBe(`${"one, ".repeat(60)}two`);
  expect(await exitCode).toBe(0);
});

const endless = {
  model: "ernie-vl-nano",
  messages: [{ role: "user" as const, content: "Tell me a story." }],
  ignore_eos: true,
  max_tokens: 4000, // slowed down, they take more than a minute
};

/** Answers that run and wait for a long time, as clients see them end. */
async function startEndless(args: readonly string[]) {
  const server = await startBroken("slow", ["--max-num-seqs", "1", ...args]);
  const [running, waiting] = [1, 2].map(() =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(endless),
    }),
  );
  await expect.poll(() => server.health()).toMatchObject({ running: 1, waiting: 1 });
  return { server, running: running!, waiting: waiting! };
}

test("answers that run or wait when the time for shutting down is over end with an error that says so", async () => {
  const { server, running, waiting } = await startEndless(["--shutdown-timeout", "1"]);

  const exitCode = server.stop();

  for (const answer of [await running, await waiting]) {
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after-ms")).toBe("5000");
    expect(await answer.json()).toMatchObject({ error: { code: "shutting_down" } });
  }
  expect(await exitCode).toBe(0);
});

test("a second stop signal ends the server at once, whatever runs", async () => {
  const { server, running, waiting } = await startEndless([]);
  const ends = Promise.allSettled([running, waiting]);

  server.kill("SIGTERM");
  await expect
    .poll(() =>
      fetch(server.url).then(
        () => "open",
        () => "closed",
      ),
    )
    .toBe("closed");
  server.kill("SIGTERM");

  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});

test("a stop signal lets a prompt be computed to its end, and the answer behind it", async () => {
  const server = await startBroken("slow@prefill", ["--prefill-chunk", "4", "--shutdown-timeout", "120"]);
  const long = "One, two, three, four, five. ".repeat(200); // more than 800 steps
  const running = fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "ernie-vl-nano", messages: [{ role: "user", content: long }], max_tokens: 5, ignore_eos: true }),
  });
  await expect.poll(() => server.health()).toMatchObject({ running: 1 });

  const exitCode = server.stop();
  await expect.poll(server.printed).toContain("finishing running answers");
  server.breakBy("");

  expect(await (await running).json()).toMatchObject({ usage: { completion_tokens: 5 } });
  expect(await exitCode).toBe(0);
});

test("a stop signal lets requests that wait for a slot have their turn", async () => {
  const server = await startBroken("slow", ["--max-num-seqs", "1", "--shutdown-timeout", "120"]);
  const answers = Array.from({ length: 4 }, () =>
    server.client.chat.completions.create({ ...endless, max_tokens: 500 } as OpenAI.ChatCompletionCreateParamsNonStreaming),
  );
  await expect.poll(async () => (await server.health()).waiting).toBe(3);

  const exitCode = server.stop();
  await expect.poll(server.printed).toContain("finishing running answers");
  server.breakBy("");

  for (const answer of await Promise.all(answers)) expect(answer.usage?.completion_tokens).toBe(500);
  expect(await exitCode).toBe(0);
});

test("a request that takes too long ends with an error that clients do not repeat", async () => {
  const { server, running, waiting } = await startEndless(["--request-timeout", "10"]); // until then they are seen to run and wait

  for (const answer of [await running, await waiting]) {
    expect(answer.status).toBe(504);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(await answer.json()).toMatchObject({ error: { code: "request_timeout" } });
  }
  await expect.poll(() => server.health()).toMatchObject({ running: 0, waiting: 0 });
  expect(await server.stop()).toBe(0);
});
