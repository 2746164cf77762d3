// The compiled `ernie-vl chat` in pipes: one question, and an output that has the answer and nothing else.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { beginStream, type Behaviour, frame, json, startFakeServer } from "../client/fake-server.ts";
import { type RunningServer, startServer } from "./start-server.ts";

const entry = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const sample = fileURLToPath(new URL("../../models/ernie-vl-nano/samples/03_read_number.png", import.meta.url));

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
});

type Ended = { readonly code: number | null; readonly output: string; readonly errors: string };

/** `onOutput` is called with the process as soon as it has written something. */
async function chat(args: readonly string[], piped: string | Buffer = "", onOutput?: (stop: () => void) => void): Promise<Ended> {
  const child = spawn(process.execPath, [entry, "chat", ...args]);
  let output = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stdout.once("data", () => onOutput?.(() => child.kill("SIGINT")));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdin.end(piped);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output, errors };
}

describe("one question", () => {
  test("about a picture is answered on the output, without the thought and without figures", async () => {
    const ended = await chat([
      "Which number is printed here?",
      "--image",
      sample,
      "--thinking",
      "on",
      "--temperature",
      "0",
      "--url",
      server.url,
    ]);

    expect(ended).toEqual({ code: 0, output: "The number is 5574.\n", errors: "" });
  });

  test("may come through a pipe", async () => {
    const ended = await chat(["--url", server.url, "--temperature", "0"], "What is the capital of France?\n");

    expect(ended).toEqual({ code: 0, output: "The capital of France is Paris.\n", errors: "" });
  });

  test("that comes through a pipe in another encoding than UTF-8 is not sent", async () => {
    const { url, asked } = await startFakeServer();

    const { code, errors } = await chat(["--url", url], Buffer.from("\xc4\xe3\xba\xc3", "latin1")); // 你好 in GBK

    expect([code, errors]).toEqual([1, expect.stringMatching(/^ernie-vl: standard input is not a text in UTF-8; convert it, .*\n$/)]);
    expect(asked).toEqual([]);
  });

  test("may go with a text that comes through the pipe", async () => {
    const { url, asked } = await startFakeServer();

    await chat(["Review this.", "--file", "-", "--url", url], "one\ntwo\n");
    const misused = [
      await chat(["--file", "-", "--url", url], "one"),
      await chat(["Hi", "--file", "-", "--file", "-", "--url", url], "one"),
    ];

    const file = { filename: "stdin.txt", file_data: `data:text/plain;base64,${btoa("one\ntwo\n")}` };
    const content = [
      { type: "file", file },
      { type: "text", text: "Review this." },
    ];
    expect(asked.map(({ body }) => body)).toMatchObject([{ messages: [{ role: "user", content }] }]);
    for (const { code, errors } of misused) expect([code, errors]).toEqual([1, expect.stringContaining("--file - needs a question")]);
  });

  test("that is refused, or breaks off, is an error in one line, with exit code 1", async () => {
    const refused: Behaviour = (response) => json(response, 400, { error: { code: "invalid_value", message: "no\u001b[2J" } });
    const breaking: Behaviour = (response) => {
      beginStream(response);
      frame(response, { choices: [{ delta: { content: "Half" }, finish_reason: null }] });
      response.end();
    };

    expect(await chat(["Hi", "--url", (await startFakeServer(refused)).url])).toEqual({
      code: 1,
      output: "",
      errors: "ernie-vl: HTTP 400 invalid_value: no\uFFFD[2J\n",
    });
    expect(await chat(["Hi", "--url", (await startFakeServer(breaking)).url])).toMatchObject({
      code: 1,
      output: "Half\n",
      errors: expect.stringMatching(/^ernie-vl: broken stream: .*\n$/),
    });
  });

  test("is stopped by Ctrl-C with exit code 130, at the server too", async () => {
    const gone: boolean[] = [];
    const { url } = await startFakeServer((response) => {
      response.once("close", () => gone.push(true));
      beginStream(response);
      frame(response, { choices: [{ delta: { content: "Once" }, finish_reason: null }] });
    });

    const ended = await chat(["A story", "--url", url], "", (stop) => stop());

    expect(ended).toEqual({ code: 130, output: "Once\n", errors: "" });
    await expect.poll(() => gone).toEqual([true]);
  });

  test.each([
    [
      ["Hi", "--url", "http://127.0.0.1:1"],
      "cannot reach http://127.0.0.1:1: connection refused; start the server with ernie-vl serve, or",
    ],
    [["Hi", "--image", "missing.png"], "cannot read missing.png: no such file or directory"],
    [["  "], "there is no question: the argument or the input is empty"],
  ])("%j says in one line what is missing", async (args, message) => {
    const { code, output, errors } = await chat(args.includes("--url") ? args : [...args, "--url", server.url]);

    expect(errors).toMatch(/^ernie-vl: .*\n$/);
    expect(errors).toContain(message);
    expect([code, output]).toEqual([1, ""]);
  });
});
