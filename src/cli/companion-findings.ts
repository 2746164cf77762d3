// The small files of a model folder, each looked at as the server would load it: what is missing and what stands in for it.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { loadTemplate } from "../chat/template.ts";
import { loadTokenizer } from "../chat/tokenizer.ts";
import { find, type Finding } from "./finding.ts";

export function companionFindings(folder: string): Finding[] {
  return [
    find("tokenizer", () => {
      loadTokenizer(folder);
      const files = readdirSync(folder).filter((name) => name === "tokenizer.json" || name.endsWith(".model"));
      return { mark: "ok", lines: [files.join(", ")] };
    }),
    find("chat template", () => {
      loadTemplate(folder);
      const file = templateFile(folder);
      return file ? { mark: "ok", lines: [file] } : { mark: "note", lines: ["none in the folder: the built-in one is used"] };
    }),
    optional(folder, "preprocessor", "preprocessor_config.json", "pictures are sized and normalised as for the published 28B"),
    optional(folder, "sampling", "generation_config.json", "requests that do not choose get the API's defaults"),
  ];
}

function templateFile(folder: string): string | undefined {
  const own = ["chat_template.jinja", "chat_template.json"].find((name) => existsSync(join(folder, name)));
  if (own) return own;
  const config = "tokenizer_config.json";
  if (!existsSync(join(folder, config))) return undefined;
  const { chat_template: template } = JSON.parse(readFileSync(join(folder, config), "utf8")) as { chat_template?: unknown };
  return template ? config : undefined;
}

function optional(folder: string, name: string, file: string, instead: string): Finding {
  if (!existsSync(join(folder, file))) return { mark: "note", name, lines: [`no ${file}: ${instead}`] };
  return find(name, () => {
    JSON.parse(readFileSync(join(folder, file), "utf8"));
    return { mark: "ok", lines: [file] };
  });
}
