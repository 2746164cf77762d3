import { expect, test } from "vitest";
import { checkSpecialTokens } from "../../src/chat/check-special-tokens.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { byteFallbackFolder, nanoFolder, nanoTokens } from "./nano.ts";

test("a tokenizer is taken that has the tokens of config.json under the same ids", () => {
  expect(() => checkSpecialTokens("folder", loadTokenizer(nanoFolder), nanoTokens)).not.toThrow();
});

test("a token under another id is refused, and one that the tokenizer lacks", () => {
  const tokenizer = loadTokenizer(nanoFolder);

  expect(() => checkSpecialTokens("folder", tokenizer, { ...nanoTokens, imageStart: 101304 })).toThrow(
    "folder: expected the tokenizer to have <|IMAGE_START|> under id 101304, as config.json says, got id 8; get tokenizer.model,",
  );
  expect(() => checkSpecialTokens("folder", loadTokenizer(byteFallbackFolder), nanoTokens)).toThrow(
    /^folder: expected the tokenizer to have/,
  );
});
