// Features of pictures are kept by their hash. With a salt in it, whether a picture is known tells nobody what others have shown.

import { createHash } from "node:crypto";
import type { EncodedPrompt } from "../core/prompt.ts";

/** The same prompt, whose pictures share features only with those of prompts with the same salt. */
export function saltPictures(prompt: EncodedPrompt, salt: string | undefined): EncodedPrompt {
  if (salt === undefined) return prompt;
  const salted = (hash: string): string => createHash("sha256").update(`${hash} ${salt}`).digest("hex");
  const spans = prompt.spans.map((span) => ({ ...span, image: { ...span.image, hash: salted(span.image.hash) } }));
  return { ...prompt, spans };
}
