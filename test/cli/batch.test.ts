import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { batchCommand } from "../../src/cli/batch-command.ts";
import { answerWell, type Behaviour, json, promptOf, startFakeServer } from "../client/fake-server.ts";
import { temporaryFolder } from "../temporary-folder.ts";

afterEach(() => {
  process.exitCode = undefined;
});

/** Runs the command as typed; returns what it said. Throws what it throws. */
async function batch(...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  await batchCommand((line) => lines.push(line)).parseAsync(args, { from: "user" });
  return lines.join("\n");
}

const line = (id: string, content: unknown = id, body: object = {}): object => ({
  custom_id: id,
  method: "POST",
  url: "/v1/chat/completions",
  body: { messages: [{ role: "user", content }], max_tokens: 3, ...body },
});

/** A folder with the requests, and the paths of all three files. */
function makeFiles(requests: readonly object[]) {
  const folder = temporaryFolder();
  const [input, output, errors] = ["in.jsonl", "out.jsonl", "out.errors.jsonl"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(input, requests.map((request) => JSON.stringify(request)).join("\n"));
  return { folder, input, output, errors };
}

type Result = { id: string; custom_id: string; response: { status_code: number; body: Record<string, unknown> } | null; error: unknown };

const resultsOf = (path: string): Result[] =>
  readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((text) => JSON.parse(text) as Result);

const idsOf = (path: string): string[] => resultsOf(path).map(({ custom_id: id }) => id);

/** Fails the requests with these prompts, and answers the others. */
const failing =
  (fail: Behaviour, ...prompts: readonly string[]): Behaviour =>
  (...given) =>
    prompts.includes(promptOf(given[1].body)) ? fail(...given) : answerWell()(...given);

const refuse: Behaviour = (response) => json(response, 400, { error: { code: "invalid_value", message: "no\u001b[2J!" } });
const broken: Behaviour = (response) => void response.socket!.destroy();

describe("ernie-vl batch", () => {
  test("writes an answer for each request, in OpenAI's format, and tells what it took", async () => {
    const server = await startFakeServer(answerWell(), { key: "secret" });
    const ids = Array.from({ length: 40 }, (_, i) => `id-${i}`);
    const { input, output, errors } = makeFiles(ids.map((id) => line(id)));

    const said = await batch(input, output, "--url", server.url, "--api-key", "secret", "--concurrency", "7");

    const results = resultsOf(output);
    expect(results.map(({ custom_id: id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(results[0]).toEqual({
      id: expect.stringMatching(/^batch_req_[\da-f]{32}$/),
      custom_id: expect.any(String),
      response: { status_code: 200, request_id: "", body: { usage: { prompt_tokens: 1, completion_tokens: 3 } } },
      error: null,
    });
    expect(said).toContain("requests 40 answered, in");
    expect(said).toContain("tokens   40 in prompts, 120 in answers");
    expect(existsSync(errors)).toBe(false);
    expect(process.exitCode).toBeUndefined();
  });

  test("counts the tokens of both APIs, which name them differently", async () => {
    const chat = { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 8 } };
    const response = { input_tokens: 30, output_tokens: 3, input_tokens_details: { cached_tokens: 12 } };
    const server = await startFakeServer((answer, _, turn) => json(answer, 200, { usage: turn === 0 ? chat : response }));
    const { input, output } = makeFiles([line("a"), line("b")]);

    const said = await batch(input, output, "--url", server.url);

    expect(said).toContain("tokens   40 in prompts (50.0 % cached), 5 in answers");
  });

  test("writes failures to a file of their own, ends with exit code 1, and asks them again the next time", async () => {
    let isRepaired = false;
    const server = await startFakeServer((...given) => (isRepaired ? answerWell() : failing(refuse, "b"))(...given));
    const { input, output, errors } = makeFiles(["a", "b", "c"].map((id) => line(id)));

    const said = await batch(input, output, "--url", server.url);

    expect(idsOf(output).toSorted()).toEqual(["a", "c"]);
    expect(resultsOf(errors)).toMatchObject([
      { custom_id: "b", response: { status_code: 400, body: { error: { code: "invalid_value" } } }, error: null },
    ]);
    expect(said).toContain("requests 2 answered, 1 failed, in");
    expect(said).toContain("failed   1 × HTTP 400 invalid_value: no\uFFFD[2J!"); // no escape sequence of a server's reaches the terminal
    expect(process.exitCode).toBe(1);

    isRepaired = true;
    process.exitCode = undefined;
    const again = await batch(input, output, "--url", server.url);

    expect(again).toContain("3 requests, 2 already answered by earlier runs");
    expect(server.asked.map(({ body }) => promptOf(body)).toSorted()).toEqual(["a", "b", "b", "c"]);
    expect(idsOf(output).toSorted()).toEqual(["a", "b", "c"]);
    expect(existsSync(errors)).toBe(false);
    expect(process.exitCode).toBeUndefined();
  });

  test("goes on behind a torn line, whose request it sends again", async () => {
    const server = await startFakeServer();
    const { input, output } = makeFiles(["a", "b", "c"].map((id) => line(id)));
    await batch(input, output, "--url", server.url, "--concurrency", "1");
    const whole = readFileSync(output);
    writeFileSync(output, whole.subarray(0, whole.length - 30));

    const said = await batch(input, output, "--url", server.url);

    expect(said).toContain("removed an incomplete last line");
    expect(server.asked.slice(3).map(({ body }) => promptOf(body))).toEqual(["c"]);
    expect(idsOf(output)).toEqual(["a", "b", "c"]);
  });

  test("a connection that breaks without an answer is an error without a response", async () => {
    const server = await startFakeServer(failing(broken, "b"));
    const { input, output, errors } = makeFiles(["a", "b", "c"].map((id) => line(id)));

    await batch(input, output, "--url", server.url, "--retries", "0");

    expect(idsOf(output).toSorted()).toEqual(["a", "c"]);
    expect(resultsOf(errors)).toMatchObject([{ custom_id: "b", response: null, error: { code: "broken stream" } }]);
  });

  test("stops when the server dies midway, and answers the rest when it is back", async () => {
    let isDead = false;
    const server = await startFakeServer((response, asked, turn) => {
      isDead ||= turn === 10;
      return isDead ? broken(response, asked, turn) : answerWell()(response, asked, turn);
    });
    const ids = Array.from({ length: 100 }, (_, i) => `id-${i}`);
    const { input, output, errors } = makeFiles(ids.map((id) => line(id)));
    const args = [input, output, "--url", server.url, "--retries", "0", "--concurrency", "2"] as const;

    const said = await batch(...args);

    expect(idsOf(output)).toHaveLength(10);
    expect(resultsOf(errors).length).toBeLessThanOrEqual(4);
    expect(said).toMatch(/requests 10 answered, [34] failed, 8[67] not sent or not finished/);
    expect(said).toContain("the server no longer answers");
    expect(process.exitCode).toBe(1);

    isDead = false;
    await startAgain();

    async function startAgain(): Promise<void> {
      const back = await startFakeServer();
      await batch(input, output, "--url", back.url);
      expect(idsOf(output).toSorted()).toEqual(ids.toSorted());
    }
  });

  test("stops when the key is refused midway, instead of failing all that is left", async () => {
    const refuseKey: Behaviour = (response) => json(response, 401, { error: { code: "invalid_api_key", message: "no" } });
    const server = await startFakeServer((...given) => (given[2] < 5 ? answerWell() : refuseKey)(...given));
    const { input, output } = makeFiles(Array.from({ length: 100 }, (_, i) => line(`id-${i}`)));

    const said = await batch(input, output, "--url", server.url, "--concurrency", "2");

    expect(server.asked.length).toBeLessThan(12);
    expect(said).toMatch(/requests 5 answered, [34] failed, 9[12] not sent or not finished/);
    expect(said).toContain("× HTTP 401 invalid_api_key: no");
    expect(process.exitCode).toBe(1);
  });

  test("sends files of the folder that it was given, and none without", async () => {
    const server = await startFakeServer();
    const content = [{ type: "image_url", image_url: { url: "page.png" } }];
    const { folder, input, output } = makeFiles([line("a", content)]);
    writeFileSync(join(folder, "page.png"), "pixels");

    await expect(batch(input, output, "--url", server.url)).rejects.toThrow(
      "line 1: messages[0].content[0].image_url.url: page.png is not a URL",
    );
    expect(server.asked).toHaveLength(0);

    await batch(input, output, "--url", server.url, "--files", folder);

    expect(server.asked[0]!.body["messages"]).toEqual([
      { role: "user", content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${btoa("pixels")}` } }] },
    ]);
  });

  test("a file that is gone when its turn comes fails its own request only", async () => {
    const { folder, input, output, errors } = makeFiles([line("a"), line("b", [{ type: "image_url", image_url: "b.png" }]), line("c")]);
    writeFileSync(join(folder, "b.png"), "pixels");
    const server = await startFakeServer((...given) => {
      rmSync(join(folder, "b.png"), { force: true });
      return answerWell()(...given);
    });

    const said = await batch(input, output, "--url", server.url, "--files", folder, "--concurrency", "1");

    expect(said).toContain("requests 2 answered, 1 failed, in");
    expect(resultsOf(errors)).toMatchObject([
      { custom_id: "b", response: null, error: { code: "unreadable file", message: expect.stringContaining("no such file") } },
    ]);
  });

  test("ends when its input is changed meanwhile, and keeps the answers it has", async () => {
    const padding = "x".repeat(2 ** 22); // more than is read ahead
    const { input, output } = makeFiles([line("a"), line("b", "b", { user: padding }), line("c")]);
    const server = await startFakeServer((...given) => {
      const text = readFileSync(input, "utf8");
      writeFileSync(input, text.replace('"custom_id":"c"', '"custom_id": 7 '));
      return answerWell()(...given);
    });

    const run = batch(input, output, "--url", server.url, "--concurrency", "1");

    await expect(run).rejects.toThrow(`${input} was changed during the run; line 3: custom_id: expected a non-empty string, got 7`);
    expect(idsOf(output)).toEqual(["a", "b"]);
  });

  test("asks the model of each line, or one for all, and refuses names that the server does not have", async () => {
    const server = await startFakeServer(answerWell(), { models: ["here"] });
    const { input, output } = makeFiles([line("a", "a", { model: "here" }), line("b", "b", { model: "gpt-4o" })]);

    await expect(batch(input, output, "--url", server.url)).rejects.toThrow("line 2 asks for the model gpt-4o");
    expect(server.asked).toHaveLength(0);

    await batch(input, output, "--url", server.url, "--model", "here");

    expect(server.asked.map(({ body }) => body["model"])).toEqual(["here", "here"]);
  });

  test("refuses to write over its input, or over what is no result of a batch", async () => {
    const server = await startFakeServer();
    const { folder, input, output } = makeFiles([line("a")]);
    const notes = join(folder, "notes.txt");
    writeFileSync(notes, "mine");

    await expect(batch(input, input, "--url", server.url)).rejects.toThrow("need three different files");
    await expect(batch(input, notes, "--url", server.url)).rejects.toThrow("line 1: not a result of an earlier run");
    await expect(batch(input, output, "--errors", notes, "--url", server.url)).rejects.toThrow("not a result of an earlier run");

    expect(readFileSync(notes, "utf8")).toBe("mine");
    expect(server.asked).toHaveLength(0);
  });

  test("knows its files however they are spelt, and replaces no device", async () => {
    const server = await startFakeServer();
    const { folder, input, output } = makeFiles([line("a")]);
    symlinkSync(input, join(folder, "link.jsonl"));
    mkdirSync(join(folder, "sub"));

    await expect(batch(input, join(folder, "link.jsonl"), "--url", server.url)).rejects.toThrow("need three different files");
    await expect(batch(input, output, "--errors", `${folder}/sub/../out.jsonl`, "--url", server.url)).rejects.toThrow(
      "need three different files",
    );
    await expect(batch(input, join(folder, "sub"), "--url", server.url)).rejects.toThrow("expected a regular file to write");
    await expect(batch(input, output, "--errors", "/dev/null", "--url", server.url)).rejects.toThrow(
      "/dev/null: expected a regular file to write",
    );
    await expect(batch(input, join(folder, "none/out.jsonl"), "--url", server.url)).rejects.toThrow(
      /^cannot write .*none\/out.jsonl: no such/,
    );
    await expect(batch(input, join(input, "out.jsonl"), "--url", server.url)).rejects.toThrow(/^cannot write .*: not a directory/);

    expect(existsSync("/dev/null")).toBe(true);
    expect(server.asked).toHaveLength(0);
  });

  test("does not write where another run writes, and leaves no lock behind", async () => {
    let finish: () => void = () => {};
    const server = await startFakeServer(async (...given) => {
      await new Promise<void>((resolve) => (finish = resolve));
      return answerWell()(...given);
    });
    const { folder, input, output, errors } = makeFiles([line("a")]);
    const first = batch(input, output, "--url", server.url);
    await expect.poll(() => server.asked.length).toBe(1);

    const holder = `is being written by process ${process.pid} on `;
    await expect(batch(input, output, "--url", server.url)).rejects.toThrow(`${output} ${holder}`);
    await expect(batch(input, join(folder, "b.jsonl"), "--errors", errors, "--url", server.url)).rejects.toThrow(`${errors} ${holder}`);

    finish();
    await first;
    expect(readdirSync(folder).toSorted()).toEqual(["in.jsonl", "out.jsonl"]);
  });

  test("says so where no server is, and where there is nothing to send", async () => {
    const { folder, input, output } = makeFiles([line("a")]);

    await expect(batch(input, output, "--url", "http://127.0.0.1:1")).rejects.toThrow(
      "cannot reach http://127.0.0.1:1: connection refused; start the server with ernie-vl serve",
    );
    await expect(batch(join(folder, "none"), output)).rejects.toThrow(/^cannot read .*none: no such file/);
    await expect(batch(folder, output)).rejects.toThrow("expected a regular file");
  });
});
