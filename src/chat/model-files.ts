// What several files of a model folder hold.

import { existsSync } from "node:fs";
import { z } from "zod";
import { readText } from "../core/file-system.ts";

/** A token in JSON files: its text, or an object with the text and how it is matched. */
export const tokenText = z.union(
  [z.string(), z.object({ content: z.string() }).transform(({ content }) => content)],
  "a token's text, or an object with its content",
);

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
