// What `--help` teaches: examples that the program would take, and where to read on.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { root } from "./code-blocks.ts";
import { help, type HelpOption, ownCommands, readHelp } from "./read-help.ts";

let commands: ReadonlyMap<string, readonly HelpOption[]>;
beforeAll(async () => {
  commands = await readHelp();
});

describe("--help", () => {
  it.each(["", "serve", "pull", "convert", "doctor", "chat", "batch", "bench"])(
    "of ernie-vl %s has examples of commands and flags that exist",
    async (command) => {
      const [, examples = ""] = (await help(command)).split(/^(?:Examples?|From nothing to an answer):$/m);

      const shown = ownCommands(examples);

      expect(shown.length).toBeGreaterThan(0);
      for (const { command: name, args } of shown) {
        const known = commands.get(name)?.map(({ flag }) => flag);
        expect(known, `ernie-vl ${name}`).toBeDefined();
        for (const [flag] of args.matchAll(/(?<=\s)--[a-z][a-z-]*/g)) expect(known, `${name} ${flag}`).toContain(flag);
      }
    },
  );

  it("names pages that are there", async () => {
    const texts = await Promise.all([help(), ...[...commands.keys()].map((name) => help(name))]);
    const pages = texts.flatMap((text) => [...text.matchAll(/docs\/[\w-]+\.md/g)].map(([page]) => page));

    expect(pages.length).toBeGreaterThan(3);
    for (const page of pages) expect(existsSync(root + page), page).toBe(true);
  });
});

it.each([
  [
    ["sevre"],
    /^ernie-vl: unexpected argument sevre; the commands are serve, pull, convert, chat, batch, bench, doctor, help \(.*--help.*\n$/,
  ],
  [["serve", "ERNIE-4.5-VL-28B-A3B-PT"], /^ernie-vl: unexpected argument .*\(to serve a model, use --model DIR.*\n$/],
  [["serve", "--prot", "1"], /^error: unknown option '--prot'\n\(Did you mean --port\?\)\n.*--help/],
  [["help", "sevre"], /^ernie-vl: unknown command sevre; the commands are serve, pull, convert, chat, batch, bench, doctor, help\n$/],
  [["pull"], /^error: missing required argument 'repo'\n.*--help/],
])("%j says what is wrong and what helps, with exit code 1", (args, message) => {
  const { status, stderr } = spawnSync(process.execPath, ["--import", "tsx", "src/main.ts", ...args], { cwd: root, encoding: "utf8" });

  expect(stderr).toMatch(message);
  expect(status).toBe(1);
});
