import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Detokenizer } from "../../src/chat/detokenizer.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import { endThink, nanoFolder } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);
const vocabularySize = 2048;

describe("Detokenizer", () => {
  test("holds the bytes of a character back until it is complete", () => {
    const ids = tokenizer.encodeText("👍"); // four byte pieces
    const detokenizer = new Detokenizer(tokenizer);
    expect(ids.map((id) => detokenizer.push(id))).toEqual(["", "", "", "👍"]);
    expect(detokenizer.flush()).toBe("");
  });

  test("shows an unfinished character as U+FFFD at the end, and before the text that breaks it off", () => {
    const [first, second] = tokenizer.encodeText("👍");
    const letter = tokenizer.encodeText("a")[0]!;

    const detokenizer = new Detokenizer(tokenizer);
    expect([detokenizer.push(first!), detokenizer.push(second!), detokenizer.flush()]).toEqual(["", "", "\ufffd"]);
    expect([detokenizer.push(first!), detokenizer.push(letter)]).toEqual(["", "\ufffda"]);
  });

  test("leaves special tokens out", () => {
    const detokenizer = new Detokenizer(tokenizer);
    const ids = [...tokenizer.encodeText("a b"), endThink, ...tokenizer.encodeText(" c")];
    expect(ids.map((id) => detokenizer.push(id)).join("")).toBe("a b c");
  });

  test("keeps a byte order mark", () => {
    const detokenizer = new Detokenizer(tokenizer);
    expect(
      tokenizer
        .encodeText("\ufeffa")
        .map((id) => detokenizer.push(id))
        .join(""),
    ).toBe("\ufeffa");
  });

  test("adds up to decoding all bytes at once, for any tokens", () => {
    const byteId = fc.integer({ min: 19, max: 19 + 255 });
    const ids = fc.array(fc.oneof(byteId, fc.integer({ min: 0, max: vocabularySize - 1 })));
    fc.assert(
      fc.property(ids, (tokenIds) => {
        const detokenizer = new Detokenizer(tokenizer);
        const pieces = [...tokenIds.map((id) => detokenizer.push(id)), detokenizer.flush()];
        const bytes = tokenIds.filter((id) => !tokenizer.isSpecial(id)).flatMap((id) => [...tokenizer.tokenBytes(id)]);
        expect(pieces.join("")).toBe(Buffer.from(bytes).toString("utf8"));
      }),
    );
  });
});
