import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Detokenizer } from "../../src/chat/detokenizer.ts";
import { loadTokenizer, type Tokenizer } from "../../src/chat/tokenizer.ts";
import { UserError } from "../../src/core/errors.ts";
import { byteFallbackFolder, nanoFolder, tokenIdCases } from "./nano.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const tokenizers = [
  { name: "nano", tokenizer: loadTokenizer(nanoFolder) },
  { name: "byteFallback", tokenizer: loadTokenizer(byteFallbackFolder) },
] as const;
const controlTexts = [
  "<unk>",
  "<s>",
  "</s>",
  "<|begin_of_sentence|>",
  "<|end_of_sentence|>",
  "<|IMAGE_PLACEHOLDER|>",
  "<think>",
  "</think>",
];
/** Any text, mixed with parts of control tokens. */
const hostileText = fc
  .array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...controlTexts, "<", "think", ">", "</", "|", " ", "<0x0A>")))
  .map((parts) => parts.join(""));

describe.each(tokenizers)("the $name tokenizer", ({ name, tokenizer }) => {
  test("gives the ids of Python's tokenizers", () => {
    for (const { text, [name]: ids } of tokenIdCases) expect({ text, ids: tokenizer.encodeText(text) }).toEqual({ text, ids });
  });

  test("recognises every control token in the template's text and none in a client's", () => {
    for (const text of controlTexts) {
      expect(tokenizer.encodeTemplate(`a${text}b`)).toContain(tokenizer.controlTokenId(text));
      expect(tokenizer.encodeText(`a${text}b`).filter((id) => tokenizer.isSpecial(id))).toEqual([]);
    }
  });

  test("never makes a control token of ordinary text, and gives the text back", () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const ids = tokenizer.encodeText(text);
        expect(ids.filter((id) => tokenizer.isSpecial(id))).toEqual([]);
        expect(decode(tokenizer, ids)).toBe(text.replaceAll("▁", " ")); // the vocabulary cannot tell ▁ from a space
      }),
    );
  });

  test("writes half a surrogate pair as the replacement character", () => {
    expect(decode(tokenizer, tokenizer.encodeText("a\ud83db"))).toBe("a\ufffdb");
  });

  test("merges ordinary text across pieces but forms no control token across them", () => {
    const parts = ["User: he", "llo wor", "ld"].map((text, index) => ({ text, isTrusted: index % 2 === 0 }));
    expect(tokenizer.encode(parts)).toEqual(tokenizer.encodeText("User: hello world"));

    const split = [
      { text: "</thi", isTrusted: true },
      { text: "nk>", isTrusted: false },
    ];
    expect(tokenizer.encode(split)).toEqual(tokenizer.encodeText("</think>"));
  });

  test("prefers the longest control token and reads neighbours one by one", () => {
    const ids = ["<think>", "</think>", "<|IMAGE_START|>", "<|IMAGE_END|>"].map((text) => tokenizer.controlTokenId(text));
    expect(tokenizer.encodeTemplate("<think></think><|IMAGE_START|><|IMAGE_END|>")).toEqual(ids);
  });

  test("gives no bytes for an id outside the vocabulary", () => {
    expect(tokenizer.tokenBytes(1_000_000)).toHaveLength(0);
  });
});

test("keeps added digits as tokens of ordinary text", () => {
  const { tokenizer } = tokenizers[1];
  expect(tokenizer.encodeText("2024").map((id) => String.fromCharCode(...tokenizer.tokenBytes(id)))).toEqual(["2", "0", "2", "4"]);
});

test("drops a merge that would spell a control token", () => {
  const tokenizer = loadTokenizer(
    changedTokenizer((file) => {
      for (const piece of ["<t", "<th", "<thi", "<thin", "<think"]) file.model.vocab[piece] = 3000 + piece.length;
      const steps = ["<", "<t", "<th", "<thi", "<thin", "<think"];
      file.model.merges = steps.map((left, index) => [left, "think>"[index]!]);
    }),
  );

  const ids = tokenizer.encodeText("<think>");

  expect(ids.some((id) => tokenizer.isSpecial(id))).toBe(false);
  expect(decode(tokenizer, ids)).toBe("<think>");
  expect(ids).toHaveLength(2);
});

test("drops a merge that begins with a control token", () => {
  const tokenizer = loadTokenizer(
    changedTokenizer((file) => {
      file.model.vocab["<think>x"] = 3000;
      delete file.model.vocab["<"];
      file.model.merges = [["<think>", "x"]];
    }),
  );
  expect(decode(tokenizer, tokenizer.encodeText("<x"))).toBe("<x");
});

test("takes pieces named like properties of objects", () => {
  const folder = changedTokenizer((file) => {
    const vocab = JSON.stringify(file.model.vocab).replace("{", '{"__":3000,"__proto__":3001,"proto__":3002,');
    file.model = { ...file.model, vocab: JSON.parse(vocab), merges: [["__", "proto__"]] };
  });
  expect(loadTokenizer(folder).tokenBytes(3001)).toEqual(Buffer.from("__proto__"));
});

describe("refuses", () => {
  const cases: [string, (file: TokenizerJson) => void, RegExp][] = [
    ["another model type", (file) => (file.model.type = "Unigram"), /model\.type: expected BPE/],
    ["a vocabulary without byte fallback", (file) => (file.model.byte_fallback = false), /byte_fallback: expected true/],
    ["a missing byte piece", (file) => delete file.model.vocab["<0x41>"], /<0x41> is missing/],
    ["a vocabulary that is none", (file) => (file.model.vocab = { a: -1 }), /vocab: expected an object of token ids/],
    ["a merge of unknown pieces", (file) => file.model.merges.push(["nope", "never"]), /\["nope","never"\] has a piece that is not in/],
    ["a merge that is no pair", (file) => file.model.merges.push("abc"), /merges\.1606: expected two pieces/],
    ["a prefix space", (file) => (file.normalizer = { type: "Prepend", prepend: "▁" }), /normalizer: expected none or one that replaces/],
    ["byte-level pieces", (file) => (file.pre_tokenizer = { type: "ByteLevel" }), /pre_tokenizer: expected none or Metaspace/],
    ["spaces left as they are", (file) => (file.normalizer = null), /expected a normalizer or pre-tokenizer that writes spaces/],
  ];

  test.each(cases)("%s", (_, change, message) => {
    const folder = changedTokenizer(change);
    expect(() => loadTokenizer(folder)).toThrow(UserError);
    expect(() => loadTokenizer(folder)).toThrow(message);
  });

  test("a folder without a tokenizer, and one with a broken file", () => {
    const folder = temporaryFolder();
    expect(() => loadTokenizer(folder)).toThrow(/expected a tokenizer \(tokenizer\.json, tokenizer\.model, .*found none/);
    writeFileSync(join(folder, "tokenizer.json"), '{"model": ');
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json: expected valid JSON/);
    writeFileSync(join(folder, "tokenizer.json"), '{\n"model": x');
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json: expected valid JSON, got an error \(.+\); restore the file/);
  });

  test.each(["tokenizer.json", "tokenizer.model"])("a %s that cannot be read", (name) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, name));
    const message = `cannot read ${join(folder, name)}: illegal operation on a directory`;
    expect(() => loadTokenizer(folder)).toThrow(new UserError(message));
  });
});

type TokenizerJson = {
  normalizer: unknown;
  pre_tokenizer: unknown;
  model: { type: string; byte_fallback: boolean; vocab: Record<string, number>; merges: unknown[] };
};

/** A folder with a modified copy of nano's tokenizer.json. */
function changedTokenizer(change: (file: TokenizerJson) => void): string {
  const file = JSON.parse(readFileSync(join(nanoFolder, "tokenizer.json"), "utf8")) as TokenizerJson;
  change(file);
  const folder = temporaryFolder();
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(file));
  return folder;
}

function decode(tokenizer: Tokenizer, ids: readonly number[]): string {
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.push(id)).join("") + detokenizer.flush();
}
