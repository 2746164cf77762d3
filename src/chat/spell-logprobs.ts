// Log-probabilities with the text and bytes of their tokens.

import type { SpelledLogprob } from "../core/events.ts";
import type { TokenLogprobs } from "../core/sampling.ts";
import type { Tokenizer } from "./tokenizer.ts";

type Spelling = Omit<SpelledLogprob, "logprob">;
export type SpellLogprobs = (tokenId: number, logprobs: TokenLogprobs) => { chosen: SpelledLogprob; top: SpelledLogprob[] };

/** Spells each token once: a long answer has millions of log-probabilities, which are all kept until it ends. */
export function createLogprobSpeller(tokenizer: Tokenizer): SpellLogprobs {
  const spellings: Spelling[] = []; // by token id
  const spell = (tokenId: number, logprob: number): SpelledLogprob => {
    const { text, bytes } = (spellings[tokenId] ??= spellingOf(tokenizer.tokenBytes(tokenId)));
    return { text, bytes, logprob };
  };
  return (tokenId, { logprob, top }) => ({
    chosen: spell(tokenId, logprob),
    top: top.map((other) => spell(other.tokenId, other.logprob)),
  });
}

/** Bytes that do not form whole characters are written as `bytes:\xe4\xbd`. */
function spellingOf(bytes: Uint8Array): Spelling {
  return { text: textOf(bytes), bytes: [...bytes] };
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
