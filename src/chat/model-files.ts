// Reads the JSON and text files of a model folder. Broken files are the operator's error.

import { existsSync } from "node:fs";
import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { readText } from "../core/file-system.ts";

/** A token in JSON files: its text, or an object with the text and how it is matched. */
export const tokenText = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);

/** The tokens that have names in `tokenizer_config.json` and `special_tokens_map.json`. */
export const namedTokens = z.object({
  bos_token: tokenText.nullish(),
  eos_token: tokenText.nullish(),
  unk_token: tokenText.nullish(),
  sep_token: tokenText.nullish(),
  pad_token: tokenText.nullish(),
  cls_token: tokenText.nullish(),
  mask_token: tokenText.nullish(),
});

/** Undefined when there is no such file. Throws UserError. */
export function readTextIfThere(path: string): string | undefined {
  return existsSync(path) ? readText(path) : undefined;
}

/** Undefined when there is no such file. Throws UserError when it is not JSON or does not match `schema`. */
export function readJsonIfThere<T>(path: string, schema: z.ZodType<T>): T | undefined {
  const text = readTextIfThere(path);
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/\s+/g, " "); // it may quote the text with its line breaks
    throw new UserError(`${path} is not JSON (${reason}); copy it again from the checkpoint`, { cause: error });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new UserError(`${path}: ${issue?.path.join(".") || "the file"}: ${issue?.message}; copy it again from the checkpoint`);
}
