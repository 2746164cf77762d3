// One line of a diagnosis, and how it is printed.

import { messageOf } from "../core/errors.ts";

/** `bad` keeps the server from starting; `note` is worth knowing. */
export type Finding = { readonly mark: "ok" | "note" | "bad"; readonly name: string; readonly lines: readonly string[] };

const signs = { ok: "✓", note: "!", bad: "✗" } as const;
const nameWidth = 15;

/** The finding of `look`; if it throws, the error becomes a bad finding. */
export function find(name: string, look: () => Omit<Finding, "name">): Finding {
  try {
    return { name, ...look() };
  } catch (error) {
    return bad(name, error);
  }
}

export function bad(name: string, error: unknown): Finding {
  return { mark: "bad", name, lines: [messageOf(error)] };
}

export function printFinding({ mark, name, lines }: Finding): string[] {
  return lines.map((line, i) => (i === 0 ? ` ${signs[mark]} ${name.padEnd(nameWidth)}${line}` : `   ${" ".repeat(nameWidth)}${line}`));
}
