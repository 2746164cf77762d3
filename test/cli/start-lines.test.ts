import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { sayHowToUse } from "../../src/cli/start-lines.ts";

function howToUse(url: string, name: string): string[] {
  const lines: string[] = [];
  sayHowToUse(url, { modelId: name, hasKeys: false, web: true }, (line) => lines.push(line));
  return lines;
}

test.each(["ernie-vl-nano", "it's mine", '模型 $HOME `x` \\ "y"'])(
  "the command that is shown sends the model's name as it is: %s",
  (name) => {
    const command = howToUse("http://127.0.0.1:8000", name).find((line) => line.startsWith("  curl "))!;

    const words = execFileSync("sh", ["-c", `curl() { printf '%s\\n' "$@"; }\n${command}`], { encoding: "utf8" })
      .trimEnd()
      .split("\n");

    expect(JSON.parse(words.at(-1)!)).toMatchObject({ model: name });
  },
);

test("a server on all addresses shows one that every client can connect to", () => {
  const text = howToUse("http://0.0.0.0:8000", "nano").join("\n");
  expect(text.match(/http:\/\/[\d.:]+/g)).toEqual(["http://0.0.0.0:8000", ...Array<string>(4).fill("http://127.0.0.1:8000")]);
});
