import { renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { openApiKeys, parseApiKeys } from "../../src/cli/api-key-file.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("the text of a file of keys", () => {
  test("has a key in each line, after the name of its client if it has one", () => {
    const text = "\uFEFF# teams\r\n\r\nresearch \t k1\n  research k2\n#gone k9\nk3\n产品.2-b@x_y k=:/+4";

    expect(parseApiKeys(text, "keys")).toMatchObject([
      { key: "k1", name: "research" },
      { key: "k2", name: "research" },
      { key: "k3" },
      { key: "k=:/+4", name: "产品.2-b@x_y" },
    ]);
  });

  test.each([
    ["", "keys: expected NAME KEY, or a KEY alone, in each line, got no key"],
    ["# only\n\n", "keys: expected NAME KEY, or a KEY alone, in each line, got no key"],
    ["a s3cret\nb s3cret2 # new", "keys, line 2: expected NAME KEY, or a KEY alone, got 4 words"],
    ["a s3crét", "keys, line 1: expected NAME KEY, or a KEY alone, got a key that is not printable ASCII"],
    ["a:b s3cret", /^keys, line 1: .+ got a name of other characters than letters, digits and \. _ @ -, or of more than 64$/],
    [`${"a".repeat(65)} s3cret`, /got a name of other characters/],
    ["a s3cret\n\nb s3cret", "keys, line 3: expected NAME KEY, or a KEY alone, got the key of line 1 again"],
  ])("that is wrong is refused, without repeating a key: %j", (text, message) => {
    expect(() => parseApiKeys(text, "keys")).toThrow(message);
    expect(() => parseApiKeys(text, "keys")).not.toThrow("s3cr");
  });
});

/** In one step, so that nobody sees half of it. */
function put(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

describe("a file of keys", () => {
  function open(text: string) {
    const path = join(temporaryFolder(), "keys");
    writeFileSync(path, text);
    const [said, lines]: [string[], { level: string; fields: object; message: string }[]] = [[], []];
    const log = {
      info: (fields: object, message: string) => lines.push({ level: "info", fields, message }),
      error: (fields: object, message: string) => lines.push({ level: "error", fields, message }),
    };
    const keys = openApiKeys({ apiKeys: ["flag"], apiKeyFile: path, pollMs: 10 }, log, (line) => said.push(line));
    const ownerOf = (key: string) => keys.ownerOf(key)?.label;
    return { path, ownerOf, said, lines };
  }

  test("adds to the keys of the command line", () => {
    const { path, ownerOf, said } = open("a ka\na kb\nkc\n");

    expect([ownerOf("ka"), ownerOf("kb"), ownerOf("kc"), ownerOf("flag")]).toEqual([
      "a",
      "a",
      expect.stringMatching(/^[\da-f]{8}$/),
      expect.any(String),
    ]);
    expect(said).toEqual([`keys     3 (2 with a name) from ${path}, which is read again when it changes`]);
  });

  test("is read again when it changes, and when another takes its place", async () => {
    const { path, ownerOf, lines } = open("a old\n");

    put(path, "a new\n");
    await expect.poll(() => ownerOf("new")).toBe("a");
    expect([ownerOf("old"), ownerOf("flag")]).toEqual([undefined, expect.any(String)]);

    writeFileSync(`${path}.b`, "b newer\n");
    symlinkSync(`${path}.b`, `${path}.link`);
    renameSync(`${path}.link`, path); // as Kubernetes does
    await expect.poll(() => ownerOf("newer")).toBe("b");
    expect(ownerOf("new")).toBeUndefined();
    expect(lines.map(({ level, message }) => [level, message])).toEqual([
      ["info", "API keys read again"],
      ["info", "API keys read again"],
    ]);
    expect(lines[0]!.fields).toEqual({ keys: 1, named: 1 });
  });

  test.each([
    ["empty", (path: string) => put(path, ""), "got no key"],
    ["wrong", (path: string) => put(path, "a b c\n"), "got 3 words"],
    ["gone", (path: string) => rmSync(path), "keys: no such file or directory"],
  ])("that is suddenly %s leaves the keys as they were, and the log says why", async (_, change, reason) => {
    const { path, ownerOf, lines } = open("a key\n");

    change(path);

    await expect.poll(() => lines).toMatchObject([{ level: "error", fields: { reason: expect.stringContaining(reason) as string } }]);
    await setTimeout(50); // it is said once, not each time that it is looked at
    expect([ownerOf("key"), ownerOf("flag")]).toEqual(["a", expect.any(String)]);
    expect(lines).toHaveLength(1);
    put(path, "a back\n");
    await expect.poll(() => ownerOf("back")).toBe("a");
  });

  test("that cannot be read ends the start", () => {
    expect(() => openApiKeys({ apiKeys: [], apiKeyFile: "/nowhere" }, console, () => {})).toThrow(
      "cannot read /nowhere: no such file or directory",
    );
  });
});

test("without a file, the keys are those of the command line", () => {
  expect(openApiKeys({ apiKeys: [], apiKeyFile: undefined }, console, () => {}).isEmpty).toBe(true);
});
