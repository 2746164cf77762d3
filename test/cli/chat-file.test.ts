import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readChatFile } from "../../src/cli/calibration/chat-file.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const folder = temporaryFolder();
const picture = readFileSync(fileURLToPath(new URL("../../models/ernie-vl-nano/samples/01_describe.png", import.meta.url)));

function write(text: string): string {
  const path = join(folder, "chats.jsonl");
  writeFileSync(path, text);
  return path;
}

const hello = '{"messages": [{"role": "user", "content": "Hello"}]}';
const withPicture = (url: string) =>
  JSON.stringify({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }], enable_thinking: true });

describe("a file of chats", () => {
  test("gives each line as a chat, empty lines left out", async () => {
    const chats = await readChatFile(write(`${hello}\n\n${hello}\n`));

    expect(chats.map(({ place }) => place.replace(/^.*, /, ""))).toEqual(["line 1", "line 3"]);
    expect(chats[0]!.chat).toEqual({ messages: [{ role: "user", content: [{ type: "text", text: "Hello" }] }], thinking: false });
  });

  test("may begin with a byte order mark, as Windows writes it", async () => {
    expect(await readChatFile(write(`\uFEFF${hello}\n`))).toHaveLength(1);
  });

  test.each([
    ["a path relative to the file", "a picture.png"],
    ["a data URI", `data:image/png;base64,${picture.toString("base64")}`],
  ])("takes pictures as %s", async (_name, url) => {
    writeFileSync(join(folder, "a picture.png"), picture);

    const [chat] = await readChatFile(write(withPicture(url)));

    expect(chat!.chat.thinking).toBe(true);
    const [part] = chat!.chat.messages[0]!.content;
    expect(part?.type === "image" && Buffer.from(part.bytes).equals(picture)).toBe(true);
  });

  test.each([
    ["other text than JSON", `${hello}\nHello`, /chats\.jsonl, line 2: expected JSON, got other text/],
    ["a list", `${hello}\n[1]`, /line 2: expected an object such as \{"messages": \[\.\.\.\]\}, got \[1\]/],
    ["a line without messages", '{"prompt": "Hello"}', /line 1: messages: expected an array of messages, but the field is missing/],
    ["a role that does not exist", '{"messages": [{"role": "robot", "content": ""}]}', /line 1: messages\[0\]\.role: expected one of/],
    [
      "a picture that is missing",
      `${hello}\n\n${withPicture("no.png")}`,
      /line 3: cannot read the picture no\.png: no such file or directory/,
    ],
    ["a picture on the network", withPicture("https://example.com/a.png"), /line 1: .* downloads are not allowed/],
    ["no chat at all", "\n\n", /chats\.jsonl: expected a chat on each line, got an empty file/],
  ])("with %s is refused in one line that says where", async (_name, text, message) => {
    const path = write(text);

    await expect(readChatFile(path)).rejects.toThrow(UserError);
    await expect(readChatFile(path)).rejects.toThrow(message);
  });

  test("that does not exist is refused by name", async () => {
    await expect(readChatFile(join(folder, "none.jsonl"))).rejects.toThrow(/^cannot read .*none\.jsonl: no such file or directory$/);
  });
});
