// README.zh-CN.md beside README.md: what can be compared without reading Chinese must be equal, so that neither changes alone.

import { describe, expect, it } from "vitest";
import { readBlocks, readPage } from "./code-blocks.ts";

const pages = { original: "README.md", translation: "README.zh-CN.md" };

const crossLink = /^\[.*\]\(README(?:\.zh-CN)?\.md\)\n/m;
const fenced = /^```[^]*?^```$/gm;
const addresses = /\]\([^)]*\)|https?:[^\s)>]*/g;
const numbers = /\d[\d.,]*(?:e-\d+)?(?<![.,])/g;

const textOf = (page: string): string => readPage(page).replace(crossLink, "");
const proseOf = (page: string): string => textOf(page).replaceAll(fenced, "");
const withoutAddresses = (page: string): string => proseOf(page).replaceAll(addresses, "");
const matches = (text: string, pattern: RegExp): string[] => (text.match(pattern) ?? []).toSorted();

const parts: [string, (page: string) => unknown][] = [
  ["code blocks", (page) => readBlocks(page, textOf(page)).map(({ language, marks, code }) => ({ language, marks: [...marks], code }))],
  ["headings", (page) => proseOf(page).match(/^#+ /gm)],
  ["links and pictures", (page) => matches(proseOf(page), /\]\([^)]*\)|src(?:set)?="[^"]*"/g)],
  ["code in sentences", (page) => matches(proseOf(page), /`[^`\n]+`/g)],
  ["numbers", (page) => matches(withoutAddresses(page), numbers)],
  ["numbers in each row of a table", (page) => (withoutAddresses(page).match(/^\|.*/gm) ?? []).map((row) => row.match(numbers))],
];

describe(`${pages.translation} has of ${pages.original}`, () => {
  it.each(parts)("the %s", (_, read) => {
    expect(read(pages.translation)).toEqual(read(pages.original));
  });
});

it("each leads to the other", () => {
  expect(readPage(pages.original)).toContain(`](${pages.translation})`);
  expect(readPage(pages.translation)).toContain(`](${pages.original})`);
});
