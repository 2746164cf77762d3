import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { benchCommand } from "../../src/cli/bench-command.ts";
import { UserError } from "../../src/core/errors.ts";
import { answerWell, beginStream, type Behaviour, frame, json, promptOf, startFakeServer } from "../client/fake-server.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const countWords = (text: string) => text.split(" ").length;

/** Runs the command as typed; returns what it said. Throws what it throws. */
async function bench(...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const command = benchCommand((line) => lines.push(line))
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  await command.parseAsync(["--input-tokens", "12", "--output-tokens", "3", "--warmup", "1", ...args], { from: "user" });
  return lines.join("\n");
}

afterEach(() => {
  process.exitCode = undefined;
});

describe("ernie-vl bench", () => {
  test("asks as told and reports in a table and as JSON, without the key", async () => {
    const server = await startFakeServer(answerWell(), { tokenize: countWords, key: "secret" });
    const folder = temporaryFolder();
    const file = join(folder, "out.json");

    const said = await bench("--url", server.url, "--api-key", "secret", "--requests", "5", "--slo", "e2el:60000", "--json", file);

    expect(said).toMatch(/requests 5 answered, 0 failed/);
    expect(said).toMatch(/^TTFT .*\d/m);
    expect(said).toMatch(/goodput .* requests\/s with E2EL ≤ 60000 ms/);
    expect(server.asked).toHaveLength(6);
    for (const { body } of server.asked) {
      expect(body).toMatchObject({ model: "fake", max_tokens: 3, min_tokens: 3, ignore_eos: true });
      expect(countWords(promptOf(body))).toBe(12);
    }
    const text = readFileSync(file, "utf8");
    expect(text).not.toContain("secret");
    const { servers, settings } = JSON.parse(text);
    expect(servers[0].requests).toHaveLength(5);
    expect(servers[0].summary).toMatchObject({ completed: 5, promptTokens: 60, outputTokens: 15 });
    expect(settings).toMatchObject({ requests: 5, seed: 0 });
  });

  test("sizes prompts by the usage where the server has no tokenizer to ask", async () => {
    const server = await startFakeServer(answerWell(40));

    const said = await bench("--url", server.url, "--requests", "2", "--warmup", "0");

    expect(said).toContain("sized by the usage of two requests (1.00 tokens per word)");
    expect(countWords(promptOf(server.asked.at(-1)!.body))).toBe(12);
  });

  test("gives two servers the same requests in alternation", async () => {
    const order: string[] = [];
    const servers = await Promise.all(
      ["a", "b"].map((model) => startFakeServer(answerWell(), { tokenize: countWords, models: [model], onAsked: () => order.push(model) })),
    );

    const said = await bench(
      "--url",
      servers[0]!.url,
      "--compare",
      servers[1]!.url,
      "--requests",
      "6",
      "--concurrency",
      "1",
      "--warmup",
      "0",
    );

    expect(order.join("")).toBe("aabbbbaaaabb");
    expect(servers[1]!.asked.map(({ body }) => promptOf(body))).toEqual(servers[0]!.asked.map(({ body }) => promptOf(body)));
    expect(servers.map(({ asked }) => asked[0]!.body["model"])).toEqual(["a", "b"]);
    expect(said).toMatch(/B ÷ A +95 % interval/);
    expect(said).toContain("3 pairs are too few");
  });

  test("says what makes two servers hard to compare", async () => {
    const cachedAndFast: Behaviour = (response, { body }) => {
      const promptTokens = countWords(promptOf(body));
      beginStream(response);
      frame(response, { choices: [{ delta: { content: "a b c" }, finish_reason: "length" }] });
      const prompt = { prompt_tokens: promptTokens, prompt_tokens_details: { cached_tokens: promptTokens } };
      frame(response, { choices: [], usage: { ...prompt, completion_tokens: 3 } });
      frame(response, "[DONE]");
      response.end();
    };
    const servers = await Promise.all([answerWell(), cachedAndFast].map((behave) => startFakeServer(behave, { tokenize: countWords })));

    const said = await bench("--url", servers[0]!.url, "--compare", servers[1]!.url, "--requests", "4", "--warmup", "0");

    expect(said).toContain("48 in prompts (100.0 % cached), 12 in answers");
    expect(said).toContain("note     3.00 tokens per chunk");
    expect(said).toContain("note     one server had far more of the prompts in its cache");
  });

  test.each([
    ["one of two servers answers nothing", false, "nothing to compare: one of the servers answered no request"],
    ["it was stopped too early", true, "nothing to compare: stopped before both servers were done with the same requests"],
  ])("compares nothing where %s", async (_, isStopped, message) => {
    const refuse: Behaviour = (response) => json(response, 500, { error: { message: "boom", code: "broken" } });
    const stop: Behaviour = () => void process.emit("SIGINT");
    const servers = await Promise.all(
      [answerWell(), isStopped ? stop : refuse].map((behave) => startFakeServer(behave, { tokenize: countWords })),
    );

    const said = await bench("--url", servers[0]!.url, "--compare", servers[1]!.url, "--requests", "2", "--warmup", "0");

    expect(said).toContain(message);
    expect(said).not.toContain("NaN");
    expect(process.exitCode).toBe(isStopped ? 130 : undefined);
  });

  test("says where the server counts no tokens", async () => {
    const server = await startFakeServer((response, { body }) => {
      if (body["stream"] !== true) return json(response, 200, {});
      beginStream(response);
      frame(response, { choices: [{ delta: { content: "a" }, finish_reason: "length" }] });
      frame(response, "[DONE]");
      response.end();
    });

    const said = await bench("--url", server.url, "--requests", "2", "--warmup", "0");

    expect(said).toContain("sized by a guess, as the server reports no token counts");
    expect(said).toContain("note     2 of 2 answers came without usage: their chunks are counted as tokens");
  });

  test("ends with code 1 and the reasons when no request is answered", async () => {
    const server = await startFakeServer((response) => json(response, 500, { error: { message: "boom", code: "broken" } }), {
      tokenize: countWords,
    });

    const said = await bench("--url", server.url, "--requests", "3", "--warmup", "0");

    expect(said).toContain("3 × HTTP 500 broken: boom");
    expect(process.exitCode).toBe(1);
  });

  test("ends well when some requests are answered", async () => {
    const server = await startFakeServer((response, asked, turn) =>
      turn === 3 ? json(response, 429, { error: { message: "full", code: "overloaded" } }) : answerWell()(response, asked, turn),
    );

    expect(
      await bench("--url", server.url, "--endpoint", "completions", "--requests", "4", "--warmup", "0", "--concurrency", "1"),
    ).toContain("3 answered");
    expect(process.exitCode).toBeUndefined();
  });
});

describe("what keeps ernie-vl bench from starting is one line", () => {
  test.each([
    ["no server", ["--url", "http://127.0.0.1:1"], "cannot reach http://127.0.0.1:1: connection refused"],
    ["no address", ["--url", "nonsense"], "expected an address such as http://localhost:8000, got nonsense"],
    ["a condition that is none", ["--slo", "ttft"], "Expected conditions in milliseconds"],
    ["a report that cannot be written", ["--json", "/nowhere/report.json"], "cannot write /nowhere/report.json: no such file or directory"],
    ["a size that is none", ["--image-size", "big"], "Expected WIDTHxHEIGHT in pixels"],
    ["a rate of nothing", ["--rate", "0"], "Expected a number above 0"],
    ["prompts from two sources", ["--dataset", "x", "--images", "1"], "cannot be used with option"],
  ])("%s", async (_name, args, message) => {
    await expect(bench(...args)).rejects.toThrow(message);
  });

  test.each([
    ["a wrong key", ["--api-key", "wrong"], "rejected the API key (HTTP 401)"],
    ["an unknown model", ["--api-key", "right", "--model", "other"], "has no model other; it has fake"],
    ["a dataset that is none", ["--api-key", "right", "--dataset", "/nowhere"], "cannot read /nowhere: no such file or directory"],
  ])("%s", async (_name, args, message) => {
    const server = await startFakeServer(answerWell(), { key: "right", tokenize: countWords });
    const lines = benchCommand(() => {}).exitOverride();

    await expect(lines.parseAsync(["--url", server.url, ...args], { from: "user" })).rejects.toThrow(message);
  });

  test("an address with https: of a server that speaks no TLS", async () => {
    const { url } = await startFakeServer(answerWell());
    const secured = url.replace("http:", "https:");

    await expect(bench("--url", secured)).rejects.toThrow(
      new UserError(
        `cannot reach ${secured}: it does not speak TLS; use http:// instead of https://; start the server with ernie-vl serve, or set its address with --url`,
      ),
    );
  });

  test("a warm-up that the server refuses", async () => {
    const server = await startFakeServer(
      (response) => json(response, 400, { error: { message: "too long", code: "context_length_exceeded" } }),
      {
        tokenize: countWords,
      },
    );

    await expect(bench("--url", server.url)).rejects.toThrow(
      "answered none of the warm-up requests: HTTP 400 context_length_exceeded: too long",
    );
  });
});
