// The fenced code blocks of README.md and docs/, and what their first line says about them: how a test treats each (docs/README.md).

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at its end. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

export type CodeBlock = {
  /** Path of the page below the root. */
  readonly page: string;
  /** Of the opening fence, counted from 1. */
  readonly line: number;
  /** As in "```sh"; "" where none is named. */
  readonly language: string;
  /** Words behind the language: `run`; or `no-run="needs a GPU"` as ["no-run", "needs a GPU"]. */
  readonly marks: ReadonlyMap<string, string>;
  readonly code: string;
};

/** Pages that people read, relative to the root. */
export function pagePaths(): string[] {
  const docs = readdirSync(`${root}docs`).filter((name) => name.endsWith(".md"));
  return ["README.md", ...docs.toSorted().map((name) => `docs/${name}`)];
}

export const readPage = (page: string): string => readFileSync(`${root}${page}`, "utf8");

/** All blocks of all pages, in the order in which they are read. */
export const allBlocks = (): CodeBlock[] => pagePaths().flatMap((page) => readBlocks(page, readPage(page)));

/** Throws for a fence that is not closed. */
export function readBlocks(page: string, text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: (Omit<CodeBlock, "code"> & { readonly lines: string[] }) | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const [, info] = /^```(.*)$/.exec(line) ?? [];
    if (open && info === "") {
      const { lines, ...block } = open;
      blocks.push({ ...block, code: lines.join("\n") });
      open = undefined;
    } else if (open) open.lines.push(line);
    else if (info !== undefined) open = { page, line: index + 1, ...readInfo(info), lines: [] };
  }
  if (open) throw new Error(`${page}:${open.line}: the code block is not closed`);
  return blocks;
}

function readInfo(info: string): Pick<CodeBlock, "language" | "marks"> {
  const [, language = "", rest = ""] = /^(\S*)(.*)$/.exec(info) ?? [];
  const marks = new Map([...rest.matchAll(/([a-z-]+)(?:="([^"]*)")?/g)].map(([, name, value]) => [name!, value ?? ""]));
  return { language, marks };
}

export const whereIs = ({ page, line }: CodeBlock): string => `${page}:${line}`;

export function hasPython(): boolean {
  try {
    execFileSync("python3", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
