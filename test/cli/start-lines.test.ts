import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import type { ServeOptions } from "../../src/cli/serve.ts";
import { sayHowToUse } from "../../src/cli/start-lines.ts";

test.each(["ernie-vl-nano", "it's mine", '模型 $HOME `x` \\ "y"'])(
  "the command that is shown sends the model's name as it is: %s",
  (name) => {
    const lines: string[] = [];
    sayHowToUse("http://127.0.0.1:8000", name, { apiKeys: [], web: true } as unknown as ServeOptions, (line) => lines.push(line));
    const command = lines.find((line) => line.startsWith("  curl "))!;

    const words = execFileSync("sh", ["-c", `curl() { printf '%s\\n' "$@"; }\n${command}`], { encoding: "utf8" })
      .trimEnd()
      .split("\n");

    expect(JSON.parse(words.at(-1)!)).toMatchObject({ model: name });
  },
);
