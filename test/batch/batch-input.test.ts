import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkInput, readRequests } from "../../src/batch/batch-input.ts";
import { FileFolder, fileReferences } from "../../src/batch/file-references.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const line = (id: string, more: object = {}, body: object = {}): string =>
  JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body: { messages: [], ...body }, ...more });

const picture = (url: string): object => ({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }] });

function fileOf(text: string | Buffer): string {
  const path = join(temporaryFolder(), "in.jsonl");
  writeFileSync(path, text);
  return path;
}

async function requestsOf(path: string) {
  const requests = [];
  for await (const request of readRequests(path)) requests.push(request);
  return requests;
}

describe("the input of a batch", () => {
  test("may have blank lines, line breaks of Windows and their mark, and no break at its end", async () => {
    const path = fileOf(`\uFEFF${line("a")}\r\n\r\n${line("b", {}, { model: "m", user: "x\u2028y" })}`);

    const { lines, models } = await checkInput(path, undefined);

    expect([...lines]).toEqual([
      ["a", 1],
      ["b", 3],
    ]);
    expect([...models]).toEqual([["m", 3]]);
    expect((await requestsOf(path))[1]).toEqual({
      customId: "b",
      path: "/v1/chat/completions",
      body: { messages: [], model: "m", user: "x\u2028y" },
    });
  });

  test("may have lines longer than what is read at a time", async () => {
    const long = "é".repeat(3_000_001);
    const path = fileOf([line("a", {}, { user: long }), line("b"), line("c", {}, { user: long })].join("\n"));

    await checkInput(path, undefined);

    expect((await requestsOf(path)).map(({ body }) => body["user"])).toEqual([long, undefined, long]);
  });

  test.each([
    ["{", "expected JSON, got {"],
    ["[]", "custom_id: expected a non-empty string, got nothing"],
    [line(""), 'custom_id: expected a non-empty string, got ""'],
    [line("a", { custom_id: 7 }), "custom_id: expected a non-empty string, got 7"],
    [line("first"), "custom_id first is already used in line 1"],
    [line("a", { method: "GET" }), 'method: expected "POST", got "GET"'],
    [line("a", { url: "https://elsewhere/v1/chat/completions" }), "url: expected one of /v1/chat/completions, "],
    [line("a", { body: [] }), "body: expected an object, got []"],
    [line("a", {}, { stream: true }), "body.stream: expected false or nothing"],
    [line("a", {}, picture("page.png")), "messages[0].content[0].image_url.url: page.png is not a URL; to send local files"],
  ])("is refused before anything is sent: %s", async (wrong, message) => {
    const path = fileOf(`${line("first")}\n${wrong}\n`);

    await expect(checkInput(path, undefined)).rejects.toThrow(`has invalid requests, nothing was sent:\n  line 2: ${message}`);
  });

  test("is refused if it is not in UTF-8, as a file of an editor on Windows: the model would get other characters", async () => {
    const path = fileOf(Buffer.from(line("a", {}, { user: "\xc4\xe3\xba\xc3" }), "latin1")); // 你好 in GBK

    await expect(checkInput(path, undefined)).rejects.toThrow("  line 1: expected UTF-8, got another encoding; convert it, ");
  });

  test("tells ten mistakes at once, and not a thousand", async () => {
    const refusal = await checkInput(fileOf("{\n".repeat(1000)), undefined).catch((error: unknown) => (error as Error).message);

    expect(String(refusal).match(/line \d+:/g)).toEqual(Array.from({ length: 10 }, (_, i) => `line ${i + 1}:`));
  });

  test("has to hold something", async () => {
    await expect(checkInput(fileOf("\n\n"), undefined)).rejects.toThrow("contains no requests");
  });
});

describe("files that lines name", () => {
  function makeFolder(): { folder: string; outside: string } {
    const parent = temporaryFolder();
    const [folder, outside] = [join(parent, "scans"), join(parent, "secret.png")];
    mkdirSync(join(folder, "deep"), { recursive: true });
    writeFileSync(join(folder, "deep/page.PNG"), "pixels");
    writeFileSync(outside, "secret");
    symlinkSync(outside, join(folder, "link.png"));
    return { folder, outside };
  }

  test.each([
    ["deep/page.PNG", undefined],
    ["./deep/../deep/page.PNG", undefined],
    ["file:FOLDER/deep/page.PNG", undefined],
    ["https://example.org/page.png", undefined],
    ["data:image/png;base64,AAAA", undefined],
    ["\ndata:image/png;base64,AAAA", undefined],
    ["../secret.png", "it is outside "],
    ["OUTSIDE", "it is outside "],
    ["file://OUTSIDE", "it is outside "],
    ["link.png", "it is outside "],
    ["deep", "it is not a file"],
    ["missing.png", "no such file"],
  ])("%s: only those of the allowed folder can be sent", async (name, reason) => {
    const { folder, outside } = makeFolder();
    const url = name.replace("OUTSIDE", outside).replace("FOLDER", folder);
    const checking = checkInput(fileOf(line("a", {}, picture(url))), new FileFolder(folder));

    if (reason === undefined) await expect(checking).resolves.toBeDefined();
    else await expect(checking).rejects.toThrow(reason);
  });

  test.each([
    ["a file", "secret.png", "--files: PATH is not a folder"],
    ["nothing", "nowhere", "--files: PATH is not a folder"],
    ["a link to itself", "loop", "cannot read PATH: too many symbolic links encountered"],
  ])("lie in a folder, and not in %s", (_, name, message) => {
    const path = join(dirname(makeFolder().folder), name);
    if (name === "loop") symlinkSync(path, path);

    expect(() => new FileFolder(path)).toThrow(new UserError(message.replace("PATH", path)));
  });

  test("are sent as data, in every place that a request has for them", async () => {
    const folder = temporaryFolder();
    for (const name of ["a.jpg", "b.mp4", "c.pdf"]) writeFileSync(join(folder, name), name);
    const data = (type: string, name: string): string => `data:${type};base64,${Buffer.from(name).toString("base64")}`;
    const [jpeg, mp4, pdf] = [data("image/jpeg", "a.jpg"), data("video/mp4", "b.mp4"), data("application/pdf", "c.pdf")];
    const chat = [
      { type: "text", text: "a.jpg" },
      { type: "image_url", image_url: "a.jpg" },
      { type: "video_url", video_url: { url: "b.mp4", fps: 1 } },
      { type: "video", video: ["a.jpg", "https://example.org/2.jpg"] },
      { type: "file", file: { file_data: "c.pdf" } },
      { type: "file", file: { file_data: "JVBERi0x", filename: "base64 has no dot" } },
    ];
    const items = [
      { type: "input_image", image_url: "a.jpg" },
      { type: "input_file", file_url: "c.pdf", filename: "mine" },
    ];
    const body = { messages: [{ role: "user", content: chat }], input: [{ content: items }] };

    for (const reference of fileReferences(body)) await new FileFolder(folder).fill(reference);

    expect(chat).toEqual([
      { type: "text", text: "a.jpg" },
      { type: "image_url", image_url: jpeg },
      { type: "video_url", video_url: { url: mp4, fps: 1 } },
      { type: "video", video: [jpeg, "https://example.org/2.jpg"] },
      { type: "file", file: { file_data: pdf, filename: "c.pdf" } },
      { type: "file", file: { file_data: "JVBERi0x", filename: "base64 has no dot" } },
    ]);
    expect(items).toEqual([
      { type: "input_image", image_url: jpeg },
      { type: "input_file", file_data: pdf, filename: "mine" },
    ]);
  });
});
