// Rules for code blocks and links of README.md and docs/, and what can be checked of a block without running it. test/e2e/docs.test.ts runs them.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { allBlocks, type CodeBlock, pagePaths, readBlocks, readPage, root, whereIs } from "./code-blocks.ts";

/** Why a block may stay unexecuted. */
const reasons = [
  "needs a GPU",
  "needs Docker",
  "needs a second server",
  "takes minutes",
  "part of a program",
  "changes the installation",
] as const;

const executable = ["sh", "js", "ts", "python"];
const data = ["", "text", "json", "yaml", "ini", "nginx", "promql"];

const blocks = allBlocks();
const shellBlocks = blocks.filter(({ language }) => language === "sh");
const marked = (mark: string): CodeBlock[] => blocks.filter(({ marks }) => marks.has(mark));
const executedCount = marked("run").length + marked("serve").length;

describe("code blocks", () => {
  it("name a language that the tests know", () => {
    for (const block of blocks) expect([...executable, ...data], whereIs(block)).toContain(block.language);
  });

  it("of programs say whether they are executed: run, serve, or no-run with a reason", () => {
    for (const block of blocks.filter(({ language }) => executable.includes(language))) {
      const kinds = ["run", "serve", "no-run"].filter((mark) => block.marks.has(mark));
      expect(kinds, `${whereIs(block)}: ${[...block.marks.keys()].join(" ")}`).toHaveLength(1);
    }
  });

  it("are left out for a known reason only", () => {
    for (const block of marked("no-run")) expect(reasons, whereIs(block)).toContain(block.marks.get("no-run"));
  });

  it(`are executed where they can be: ${executedCount} are, ${marked("no-run").length} are not`, () => {
    expect(executedCount).toBeGreaterThan(marked("no-run").length);
  });

  it.each(shellBlocks.map((block) => [whereIs(block), block] as const))("%s is a shell's syntax", (_, { code }) => {
    execFileSync("bash", ["-n"], { input: code });
  });

  it("of JSON are JSON", () => {
    for (const block of blocks.filter(({ language }) => language === "json")) {
      expect(() => JSON.parse(block.code) as unknown, whereIs(block)).not.toThrow();
    }
  });

  it("begin and end with a fence, and keep what stands behind the language", () => {
    const [block] = readBlocks("a.md", 'text\n```sh no-run="needs a GPU" expect="5 = x"\nls\n```\n');
    expect(block).toMatchObject({ page: "a.md", line: 2, language: "sh", code: "ls" });
    expect([...block!.marks]).toEqual([
      ["no-run", "needs a GPU"],
      ["expect", "5 = x"],
    ]);
    expect(() => readBlocks("a.md", "```sh\nls\n")).toThrow("a.md:1: the code block is not closed");
  });
});

describe("commands in shell blocks", () => {
  it("of npm and node name scripts that are there", () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> };
    for (const block of shellBlocks) {
      for (const [, name] of block.code.matchAll(/\bnpm run ([a-z:-]+)/g)) expect(Object.keys(scripts), whereIs(block)).toContain(name);
      for (const [path] of block.code.matchAll(/\bscripts\/[\w/.-]+/g))
        expect(existsSync(root + path), `${whereIs(block)}: ${path}`).toBe(true);
    }
  });
});

describe("links", () => {
  it.each(pagePaths().map((page) => [page]))("of %s lead to files and headings that are there", (page) => {
    const prose = readPage(page).replaceAll(/^```[^]*?^```/gm, "");
    for (const [, target] of prose.matchAll(/(?:\]\(|src(?:set)?=")([^)\s"]+)[)"]/g)) {
      if (/^https?:/.test(target!)) continue;
      const [path, anchor] = target!.split("#");
      const file = path === "" ? page : join(dirname(page), path!);
      expect(existsSync(root + file), `${page}: ${target}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(file), `${page}: ${target}`).toContain(anchor);
    }
  });

  it("lead from docs/README.md to every page", () => {
    const index = readPage("docs/README.md");
    for (const page of pagePaths().slice(1)) expect(index).toContain(page === "docs/README.md" ? "# " : `(${basename(page)}`);
  });
});

/** As GitHub makes them of headings. */
function anchorsOf(file: string): string[] {
  return [...readPage(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(/\s/g, "-"),
  );
}
