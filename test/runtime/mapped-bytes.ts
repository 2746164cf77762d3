// What a process has mapped of files, and how much of that is in its page table.

import { readFileSync } from "node:fs";

/** `path` may leave out the beginning. */
export function mappedBytes(path: string, process: number | "self" = "self"): { readonly mapped: number; readonly present: number } {
  const parts = readFileSync(`/proc/${process}/smaps`, "utf8").split(/^(?=\w+-\w+ )/m);
  const ofFile = parts.filter((part) => part.split("\n", 1)[0]!.endsWith(path));
  const sum = (field: string): number =>
    ofFile.reduce((total, part) => total + Number(new RegExp(String.raw`^${field}: +(\d+) kB$`, "m").exec(part)![1]) * 1024, 0);
  return { mapped: sum("Size"), present: sum("Rss") };
}
