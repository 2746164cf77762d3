import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellWord } from "../../src/core/shell-word.ts";

test.each(["./ernie-28b", "/srv/models/ERNIE-4.5-VL-28B-A3B-PT"])("%s is left as it is", (text) => {
  expect(shellWord(text)).toBe(text);
});

test.each(["my models/28b", "it's $HOME", "~/x", "a;b&c|d", "模型", "tab\there", ""])("%j is one word to a shell", (text) => {
  expect(execFileSync("sh", ["-c", `printf %s ${shellWord(text)}`], { encoding: "utf8" })).toBe(text);
});
