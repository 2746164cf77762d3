import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadTokenizer, type Tokenizer } from "../../src/chat/tokenizer.ts";
import { ProtobufWriter } from "../../src/convert/onnx/protobuf-writer.ts";
import { UserError } from "../../src/core/errors.ts";
import { fixtures } from "./nano.ts";
import { makeFolder, makeModel, makeTrainer, type ModelOptions, type Piece } from "./sentencepiece-file.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("a SentencePiece model", () => {
  test("joins the pair whose piece has the best score, the leftmost of equals", () => {
    const letters = ["a", "b", "c"].map((text) => ({ text, score: -100 }));
    const load = (...pieces: Piece[]) => loadModel([...letters, ...pieces]);

    expect(spell(load({ text: "ab", score: -1 }, { text: "bc", score: -2 }), "abc")).toEqual(["ab", "c"]);
    expect(spell(load({ text: "ab", score: -2 }, { text: "bc", score: -1 }), "abc")).toEqual(["a", "bc"]);
    expect(spell(load({ text: "ab", score: -1 }, { text: "bc", score: -1 }), "bcabc")).toEqual(["bc", "ab", "c"]);
  });

  test("joins characters that are no pieces themselves, and writes those left over as bytes", () => {
    const tokenizer = loadModel([{ text: "☂☃", score: -1 }]);
    expect(spell(tokenizer, "☂☃☂")).toEqual(["☂☃", "\xe2", "\x98", "\x82"]);
  });

  test("never joins what the user defined", () => {
    const tokenizer = loadModel([{ text: "1", kind: "userDefined" }, { text: "a" }, { text: "a1" }, { text: "11" }]);
    expect(spell(tokenizer, "a11a")).toEqual(["a", "1", "1", "a"]);
  });

  test("puts no space before a text, whatever the model says (model spec, 6.1)", () => {
    const pieces = [{ text: "▁" }, { text: "a" }, { text: "▁a" }];
    expect(spell(loadModel(pieces, { addsDummyPrefix: true }), "a a")).toEqual(["a", " a"]);
  });

  test("drops extra spaces where the model says so, and not elsewhere", () => {
    const pieces = [{ text: "▁" }, { text: "a" }];
    expect(spell(loadModel(pieces, { removesExtraSpaces: true }), "  a   a ")).toEqual(["a", " ", "a"]);
    expect(spell(loadModel(pieces, { removesExtraSpaces: false }), " a  a")).toEqual([" ", "a", " ", " ", "a"]);
  });

  test("takes no longer for a thousand user-defined tokens that begin alike", () => {
    const locations = Array.from({ length: 1000 }, (_, i): Piece => ({ text: `<|LOC_${i}|>`, kind: "userDefined" }));
    const tokenizer = loadModel([{ text: "<" }, ...locations], { removesExtraSpaces: true });
    // Trying each of them at each position would take minutes.
    expect(new Set(tokenizer.encodeText("<".repeat(2 ** 19)))).toEqual(new Set([259]));
  });
});

describe("the tokens beside a SentencePiece model", () => {
  const tokenizer = loadTokenizer(`${fixtures}sentencepiece`);

  test.each([
    ["added_tokens.json", "<|IMAGE_PLACEHOLDER|>", 1004],
    ["added_tokens.json", "<|IMAGE_START|>", 1005],
    ["tokenizer_config.json", "<|IMAGE_END|>", 1006],
    ["control pieces", "<|begin_of_sentence|>", 1001],
    ["plain pieces", "</think>", 1003],
    ["the start of the model", "</s>", 2],
  ])("come from %s: %s", (_, text, id) => {
    expect(tokenizer.encodeTemplate(`a${text}b`)).toContain(id);
    expect(tokenizer.controlTokenId(text)).toBe(id);
    expect(tokenizer.encodeText(`a${text}b`).filter((token) => tokenizer.isSpecial(token))).toEqual([]);
  });

  test("that are only listed get the ids behind the vocabulary, in the order of the list (model spec, 1.4)", () => {
    const folder = makeFolder(makeModel([{ text: "a" }, { text: "<mask:1>", kind: "control" }]));
    const listed = ["<|IMAGE_PLACEHOLDER|>", "<mask:1>", "<|AUDIO_PLACEHOLDER|>", "<|IMAGE_START|>"];
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ mask_token: "<mask:1>", additional_special_tokens: null }));
    writeFileSync(join(folder, "special_tokens_map.json"), JSON.stringify({ unk_token: "<unk>", additional_special_tokens: listed }));

    expect(loadTokenizer(folder).encodeTemplate(`a${listed.join("")}`)).toEqual([259, 261, 260, 262, 263]);
  });

  test("that are only listed come behind those that have an id of their own", () => {
    const folder = makeFolder(makeModel([{ text: "a" }]));
    const listed = ["<|IMAGE_PLACEHOLDER|>", "<|IMAGE_START|>"];
    writeFileSync(join(folder, "added_tokens.json"), '{"<|IMAGE_PLACEHOLDER|>": 260}');
    writeFileSync(join(folder, "special_tokens_map.json"), JSON.stringify({ additional_special_tokens: listed }));

    expect(loadTokenizer(folder).encodeTemplate(listed.join(""))).toEqual([260, 261]);
  });

  test("follow the published order: unknown, begin, end, digits, bytes", () => {
    expect(tokenizer.encodeText("0123456789\n")).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 23]);
  });

  test.each(["spm.model", "ernie_token_100k.model"])("stand beside %s too", (name) => {
    const folder = makeFolder(makeModel([{ text: "a" }]), name);
    writeFileSync(join(folder, "added_tokens.json"), '{"<|IMAGE_PLACEHOLDER|>": 300}');
    expect(loadTokenizer(folder).encodeTemplate("a<|IMAGE_PLACEHOLDER|>")).toEqual([259, 300]);
  });
});

describe("refuses", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["a unigram model", makeModel([], { modelType: 1 }), /expected a BPE model, the only kind supported, got unigram/],
    ["a model without byte fallback", makeModel([], { byteFallback: false }), /expected byte fallback, got none/],
    ["spaces left as they are", makeModel([], { escapesSpaces: false }), /expected spaces written as ▁/],
    ["a denormalizer", makeModel([], { denormalizes: true }), /a denormalizer with rules/],
    ["unused pieces", makeModel([{ text: "a", kind: "unused" }]), /piece 259 "a" marked unused/],
    ["a piece that comes twice", makeModel([{ text: "a" }, { text: "a" }]), /expected every piece once, got "a" as pieces 259 and 260/],
    ["an empty piece", makeModel([{ text: "" }]), /not a SentencePiece model: a piece has 0 characters/],
    ["a huge piece", makeModel([{ text: "a".repeat(1025) }]), /a piece has 1025 characters/],
    ["a score that is no number", makeModel([{ text: "a", score: NaN }]), /the score of "a" is NaN/],
    ["a charsmap that is cut off", makeModel([], { charsmap: Uint8Array.of(8, 0, 0, 0, 1) }), /its charsmap is cut off/],
    ["an empty file", new Uint8Array(0), /it has no pieces/],
    ["a length beyond the file", Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 1), /claims 34359738367 bytes where 1 are left/],
    ["a number without end", new Uint8Array(20).fill(0xff), /a number has more than ten bytes/],
    ["a piece that is a number", Uint8Array.of(0x08, 1), /field 1 is a varint, expected bytes/],
    ["text", Buffer.from("<!doctype html>"), /is not a SentencePiece model: .*; copy it again from the checkpoint/],
    ["bytes that are no UTF-8", new ProtobufWriter().bytes(1, new ProtobufWriter().bytes(1, Uint8Array.of(0xff))).finish(), /not valid/],
  ];
  test.each(cases)("%s", (_, bytes, message) => {
    const folder = makeFolder(bytes);
    expect(() => loadTokenizer(folder)).toThrow(UserError);
    expect(() => loadTokenizer(folder)).toThrow(message);
  });

  test("a missing byte piece", () => {
    const bytes = new ProtobufWriter().bytes(1, new ProtobufWriter().string(1, "a")).bytes(2, makeTrainer({})).finish();
    expect(() => loadTokenizer(makeFolder(bytes))).toThrow(/expected all 256 byte pieces, <0x00> is missing/);
  });
});

describe("damaged files give a tokenizer or one clear error", () => {
  const path = "tokenizer.model";
  const whole = readFileSync(`${fixtures}sentencepiece-rules/spm.model`);
  const folder = temporaryFolder();
  const survives = (bytes: Uint8Array) => {
    writeFileSync(join(folder, path), bytes);
    try {
      loadTokenizer(folder).encodeText("Ａ１ hello  e\u0301 ½");
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      expect((error as Error).message).not.toContain("\n");
    }
  };

  test("cut anywhere", () => {
    fc.assert(fc.property(fc.nat({ max: whole.length - 1 }), (length) => survives(whole.subarray(0, length))));
  });

  test("changed anywhere", () => {
    const change = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 9 }), (changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [position, value] of changes) bytes[position] = value;
        survives(bytes);
      }),
    );
  });

  test("made of anything", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives));
  });
});

function loadModel(pieces: readonly Piece[], options?: ModelOptions): Tokenizer {
  return loadTokenizer(makeFolder(makeModel(pieces, options)));
}

/** The tokens of a text. Tokens that are not whole characters are shown as Latin-1. */
function spell(tokenizer: Tokenizer, text: string): string[] {
  return tokenizer.encodeText(text).map((id) => {
    const bytes = Buffer.from(tokenizer.tokenBytes(id));
    return bytes.length === 1 ? bytes.toString("latin1") : bytes.toString();
  });
}
