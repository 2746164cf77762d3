// Finds the chat template of a model folder: in its own file, in the tokenizer's settings, or built in.

import { join } from "node:path";
import { z } from "zod";
import { checkpointName } from "../core/checkpoint-name.ts";
import { UserError } from "../core/errors.ts";
import { manifestFileName } from "../core/manifest.ts";
import { readJsonIfThere } from "../core/read-json.ts";
import { builtInTemplates, type ChatFormat } from "./built-in-templates.ts";
import { namedTokens, readTextIfThere } from "./model-files.ts";

export type TemplateSource = {
  readonly jinja: string;
  /** File it comes from, for error messages. */
  readonly path: string;
  /** Variable → text, as transformers offers them to a template: `bos_token`, `cls_token`, … where the tokenizer has one. */
  readonly tokens: Readonly<Record<string, string>>;
};

const namedTemplates = z.array(z.object({ name: z.string(), template: z.string() }));
const templateSchema = z.object({ chat_template: z.union([z.string(), namedTemplates], "a template, or a list of named ones").nullish() });
const manifestSchema = z.object({ source: z.object({ name: z.string() }).optional() });

/**
 * `chat_template.jinja`, else `chat_template.json`, else `chat_template` of `tokenizer_config.json`, else a built-in template. Throws
 * UserError when a file is broken.
 */
export function readTemplateSource(folder: string): TemplateSource {
  const jinjaPath = join(folder, "chat_template.jinja");
  const jsonPath = join(folder, "chat_template.json");
  const configPath = join(folder, "tokenizer_config.json");
  const tokens = { ...readTokens(join(folder, "special_tokens_map.json")), ...readTokens(configPath) };

  const ownFile = readTextIfThere(jinjaPath);
  if (ownFile !== undefined) return { jinja: ownFile, path: jinjaPath, tokens };
  const inJson = defaultOf(readJsonIfThere(jsonPath, templateSchema), jsonPath);
  if (inJson !== undefined) return { jinja: inJson, path: jsonPath, tokens };
  const inConfig = defaultOf(readJsonIfThere(configPath, templateSchema), configPath);
  if (inConfig !== undefined) return { jinja: inConfig, path: configPath, tokens };
  const format = guessFormat(folder);
  return { jinja: builtInTemplates[format], path: `built-in template ${format}`, tokens };
}

function readTokens(path: string): Record<string, string> {
  const tokens = Object.entries(readJsonIfThere(path, namedTokens) ?? {});
  return Object.fromEntries(tokens.flatMap(([name, text]) => (text ? [[name, text]] : [])));
}

function defaultOf(file: z.output<typeof templateSchema> | undefined, path: string): string | undefined {
  const templates = file?.chat_template ?? undefined;
  if (templates === undefined || typeof templates === "string") return templates;
  const template = templates.find(({ name }) => name === "default")?.template;
  if (template !== undefined) return template;
  const names = templates.map(({ name }) => name).join(", ") || "none";
  throw new UserError(`${path}: chat_template: expected a template named "default" among several, got ${names}`);
}

/** Guesses the format from the name of the checkpoint: no file tells the two models apart. */
function guessFormat(folder: string): ChatFormat {
  const source = readJsonIfThere(join(folder, manifestFileName), manifestSchema)?.source;
  return /thinking/i.test(source?.name ?? checkpointName(folder)) ? "thinking" : "pt";
}
