// docs/troubleshooting.md beside the source: each message that it quotes is still said somewhere, and each code of an error is listed.

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readPage, root } from "./code-blocks.ts";

const page = readPage("docs/troubleshooting.md");
const [messagesPart = "", codesPart = ""] = page.split(/^## Codes$/m);

const sources = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(`${root}src/${name}`, "utf8"));
const said = sources.map(withHoles).join("\n");

/** What the first column quotes as messages of the program. */
const quoted = messagesPart
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| message") && !line.startsWith("| status"))
  .flatMap((line) => [...(/^\| (?:\d{3} )?`([^`]+)` \|/.exec(line)?.slice(1, 2) ?? [])]);

describe("docs/troubleshooting.md", () => {
  it("quotes many messages", () => {
    expect(quoted.length).toBeGreaterThan(80);
  });

  it.each(quoted)("quotes what the program says: %s", (message) => {
    const words = message.replace(/^…:? /, "").replace(/ …$/, "");
    expect(said.includes(words), words).toBe(true);
  });

  it("lists every code of an error, and no other", () => {
    const listed = [...codesPart.matchAll(/`([a-z_]+)`/g)]
      .map(([, code]) => code!)
      .filter((code) => code.includes("_") && code !== "error_code");
    const refusals = sources.filter((text) => text.includes("RequestError")).join("\n");
    const given = [...refusals.matchAll(/code: "([a-z]+_[a-z_]+)"/g)].map(([, code]) => code!);
    expect(listed).toEqual(expect.arrayContaining([...new Set(given)].filter((code) => code !== "server_error")));
    for (const code of listed)
      expect(
        sources.some((text) => text.includes(`"${code}"`)),
        code,
      ).toBe(true);
  });
});

/** Source with each `${…}` as "…" and joined strings in one piece. */
function withHoles(text: string): string {
  const joined = text.replaceAll(/(["'`]) \+\s*["'`]/g, "");
  let out = "";
  for (let at = 0; at < joined.length; at++) {
    if (!joined.startsWith("${", at)) {
      out += joined[at];
      continue;
    }
    let depth = 0;
    do {
      if (joined[at] === "{") depth++;
      if (joined[at] === "}") depth--;
      at++;
    } while (depth > 0 || joined[at - 1] === "$");
    at--;
    out += "…";
  }
  return out;
}
