import { expect, test } from "vitest";
import { spellLogprobs } from "../../src/chat/spell-logprobs.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { byteFallbackFolder } from "./nano.ts";

test("bytes that are no whole character are spelled", () => {
  const byteTokenizer = loadTokenizer(byteFallbackFolder);
  const [tokenId] = byteTokenizer.encodeText("\u{1F9A9}").filter((id) => byteTokenizer.tokenBytes(id)[0] === 0xf0);
  const { chosen } = spellLogprobs(byteTokenizer, tokenId!, { logprob: -1, top: [] });
  expect(chosen).toEqual({ text: "bytes:\\xf0", bytes: [0xf0], logprob: -1 });
});
