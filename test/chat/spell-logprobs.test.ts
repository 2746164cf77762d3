import { expect, test } from "vitest";
import { createLogprobSpeller } from "../../src/chat/spell-logprobs.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { byteFallbackFolder } from "./nano.ts";

test("bytes that are no whole character are spelled", () => {
  const byteTokenizer = loadTokenizer(byteFallbackFolder);
  const [tokenId] = byteTokenizer.encodeText("\u{1F9A9}").filter((id) => byteTokenizer.tokenBytes(id)[0] === 0xf0);
  const { chosen } = createLogprobSpeller(byteTokenizer)(tokenId!, { logprob: -1, top: [] });
  expect(chosen).toEqual({ text: "bytes:\\xf0", bytes: [0xf0], logprob: -1 });
});

test("a token is spelled once, however often it occurs", () => {
  const tokenizer = loadTokenizer(byteFallbackFolder);
  const spell = createLogprobSpeller(tokenizer);
  const [tokenId] = tokenizer.encodeText("a") as [number];

  const { chosen, top } = spell(tokenId, { logprob: -1, top: [{ tokenId, logprob: -1 }] });

  expect(top[0]!.bytes).toBe(chosen.bytes);
});
