// docs/configuration.md and the commands in all pages, beside what `--help` prints and what the source reads from the environment.

import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { allBlocks, pagePaths, readPage, root, whereIs } from "./code-blocks.ts";
import { type HelpOption, ownCommands, readHelp } from "./read-help.ts";

const page = readPage("docs/configuration.md");

/** Rows of the tables under `## heading`, each as its cells. */
function rowsOf(heading: string): string[][] {
  const [, section = ""] = page.split(new RegExp(`^## ${heading}$`, "m"));
  return section
    .split(/^## /m)[0]!
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll("\\|", "|")),
    );
}

const flagOf = (cell: string): string => /--[a-z-]+/.exec(cell)?.[0] ?? cell;

let commands: ReadonlyMap<string, readonly HelpOption[]>;
beforeAll(async () => {
  commands = await readHelp();
});

describe("docs/configuration.md", () => {
  it("has a section for each command, and for no other", () => {
    const headings = [...page.matchAll(/^## `ernie-vl ([a-z]+)`$/gm)].map(([, name]) => name);
    expect(headings.toSorted()).toEqual([...commands.keys()].toSorted());
  });

  it("has each flag of each command, and no other", () => {
    for (const [command, options] of commands) {
      const documented = rowsOf(`\`ernie-vl ${command}\``).map(([flag]) => flagOf(flag!));
      expect(documented.toSorted(), command).toEqual(options.map(({ flag }) => flag).toSorted());
    }
  });

  it("has the arguments, defaults and choices that --help prints", () => {
    for (const [command, options] of commands) {
      const rows = new Map(rowsOf(`\`ernie-vl ${command}\``).map((row) => [flagOf(row[0]!), row]));
      for (const option of options) {
        const [flag, fallback, meaning] = rows.get(option.flag)!;
        expect(flag, `${command} ${option.flag}`).toBe(`\`${option.term}\``);
        expect(fallback, `${command} ${option.flag}`).toBe(shownFallback(option));
        for (const choice of option.choices) expect(`${fallback} ${meaning}`, option.flag).toContain(`\`${choice}\``);
        if (option.variable !== undefined) expect(meaning, `${command} ${option.flag}`).toContain(`\`${option.variable}\``);
      }
    }
  });

  it("has each variable that the source reads, and no other", () => {
    const documented = rowsOf("Environment").map(([name]) => name!.replaceAll("`", ""));
    const sources = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(`${root}src/${name}`, "utf8"))
      .join("\n");
    const read = [...sources.matchAll(/(?:env|environment)(?:\[|\()"([A-Z][A-Z0-9_]+)"/g)].map(([, name]) => name!);
    expect(documented).toEqual(expect.arrayContaining([...new Set(read)]));
    for (const name of documented) expect(sources.includes(name) || name.startsWith("NODE_"), name).toBe(true);
  });
});

describe("shell blocks of all pages, and units", () => {
  const shellBlocks = allBlocks().filter(({ language }) => ["sh", "ini"].includes(language));

  it("call commands and flags that the program has", () => {
    for (const block of shellBlocks) {
      for (const { command, args } of ownCommands(block.code)) {
        const known = commands.get(command)?.map(({ flag }) => flag);
        expect(known, `${whereIs(block)}: ernie-vl ${command}`).toBeDefined();
        for (const [flag] of args.matchAll(/(?<=\s)--[a-z][a-z-]*/g))
          expect(known, `${whereIs(block)}: ${command} ${flag}`).toContain(flag);
      }
    }
  });
});

/** Of commander; of Docker, where its name does not stand before them. */
const foreignFlags = ["--help", "--gpus", "--memory"];

/** Of the scripts that npm runs, as parseArgs or commander is told of them. */
function scriptFlags(): string[] {
  const names = readdirSync(`${root}scripts`, { recursive: true, encoding: "utf8" }).filter((name) => /\.(ts|mjs)$/.test(name));
  const sources = names.map((name) => readFileSync(`${root}scripts/${name}`, "utf8")).join("\n");
  const declared = sources.matchAll(/([\w-]+)"?: \{\s*type: "(?:string|boolean)"|\boption\(\s*"--([\w-]+)/gi);
  return [...declared].map(([, parsed, commanded]) => `--${parsed ?? commanded}`);
}

describe("prose of all pages", () => {
  it.each(pagePaths().map((page) => [page]))("in %s names flags that the program has", (name) => {
    const known = [...foreignFlags, ...scriptFlags(), ...[...commands.values()].flatMap((options) => options.map(({ flag }) => flag))];
    const prose = readPage(name)
      .replaceAll(/^```[^]*?^```/gm, "")
      .replaceAll(name === "docs/api.md" ? /^\| `--[^|]*\|/gm : /(?!)/g, ""); // in tables of migration, others' flags come first

    const others = /^(claude|docker|npm (?!start|run serve)|npx (?!ernie-vl)|vllm bench|python -m|evalscope|guidellm|aiperf|numactl)/; // their flags are their own
    for (const [, span] of prose.matchAll(/`([^`\n]+)`/g)) {
      if (others.test(span!)) continue;
      for (const [flag] of span!.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)) expect(known, `${name}: ${span}`).toContain(flag);
    }
  });
});

/** Cells of the default: as --help has it, but for switches and lists. */
function shownFallback({ fallback }: HelpOption): string {
  if (fallback === undefined || fallback === "[]") return "";
  if (fallback === "false") return "off";
  return / /.test(fallback) ? fallback : `\`${fallback}\``;
}
