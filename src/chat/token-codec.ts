// Text ⇄ token ids for those who want to see them: counts before a request, ids after one.

import { RequestError } from "../core/errors.ts";
import { Detokenizer } from "./detokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

export type TokenCodec = {
  /** Ids of ordinary text: never one of a control token. */
  encode(text: string): number[];
  /** Control tokens are spelled out. Throws RequestError (`param` names the list) for an id that stands for nothing. */
  decode(tokenIds: readonly number[], param: string): string;
};

export function createTokenCodec(tokenizer: Tokenizer): TokenCodec {
  return {
    encode: (text) => tokenizer.encodeText(text),
    decode(tokenIds, param) {
      const detokenizer = new Detokenizer(tokenizer, true);
      const pieces = tokenIds.map((tokenId, index) => {
        if (tokenizer.hasToken(tokenId)) return detokenizer.push(tokenId);
        const path = `${param}[${index}]`;
        throw new RequestError(`${path}: expected the id of a token of this model, got ${tokenId}`, { code: "invalid_value", param: path });
      });
      return pieces.join("") + detokenizer.flush();
    },
  };
}
