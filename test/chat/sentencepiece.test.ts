import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Detokenizer } from "../../src/chat/detokenizer.ts";
import { loadTokenizer, type Tokenizer } from "../../src/chat/tokenizer.ts";
import { fixtures } from "./nano.ts";
import { kinds, makeFolder, makeModel, type Piece } from "./sentencepiece-file.ts";

/** Outputs of Python's sentencepiece and tokenizers, recorded by scripts/make-chat-fixtures.py. */
const recorded: { words: string[]; ids: number[][]; rules: number[][] } = readPacked("ids");
type OddModel = { pieces: [string, number, number][]; removesExtraSpaces: boolean; texts: string[]; ids: number[][] };
const odd: OddModel[] = readPacked("odd").models;
const texts = [...unicodeTexts(recorded.words, recorded.ids.length)];
const model = loadTokenizer(`${fixtures}sentencepiece`);
const json = loadTokenizer(`${fixtures}sentencepiece-json`);
const rules = loadTokenizer(`${fixtures}sentencepiece-rules`);

describe("10,000 random texts over all of Unicode", () => {
  const cases: [string, Tokenizer, number[][]][] = [
    ["tokenizer.model", model, recorded.ids],
    ["the tokenizer.json that transformers makes of it", json, recorded.ids],
    ["a model with rewriting rules", rules, recorded.rules],
  ];
  test.each(cases)("have the ids of Python by %s", (_, tokenizer, expected) => {
    expect(differing(tokenizer, texts, expected)).toEqual([]);
  });

  test.each(cases.slice(0, 2))("come back whole by %s", (_, tokenizer) => {
    // The vocabulary cannot tell ▁ from a space.
    expect(texts.filter((text) => decode(tokenizer, tokenizer.encodeText(text)) !== text.replaceAll("▁", " "))).toEqual([]);
  });
});

test("1,000 texts have the ids of Python by 40 models as no trainer makes them", () => {
  const nameOfKind = Object.fromEntries(Object.entries(kinds).map(([name, number]) => [number, name as Piece["kind"]]));
  for (const { pieces, removesExtraSpaces, texts: lines, ids } of odd) {
    const tokenizer = loadTokenizer(
      makeFolder(
        makeModel(
          pieces.map(([text, score, kind]) => ({ text, score, kind: nameOfKind[kind]! })),
          { removesExtraSpaces },
        ),
      ),
    );
    expect(differing(tokenizer, lines, ids)).toEqual([]);
  }
});

/** The texts whose ids differ from the expected ones, with their ids. (An `expect` per text would take seconds.) */
function differing(tokenizer: Tokenizer, texts: readonly string[], expected: readonly (readonly number[])[]) {
  return texts
    .map((text, i) => ({ text, ids: tokenizer.encodeText(text), expected: expected[i] }))
    .filter(({ ids, expected }) => ids.join() !== expected?.join());
}

/** The same texts as `unicode_texts` in scripts/make-chat-fixtures.py. */
function* unicodeTexts(words: readonly string[], count: number): Generator<string, void> {
  let state = 1;
  const pick = (limit: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
  for (let index = 0; index < count; index++) {
    let text = "";
    for (let left = 1 + pick(8); left > 0; left--) {
      const kind = pick(8);
      const choice = pick(kind === 0 ? 0x11_0000 - 0x800 : kind === 1 ? 0x3000 : words.length);
      text += kind < 2 ? String.fromCodePoint(choice + (choice >= 0xd800 ? 0x800 : 0)) : words[choice];
      if (kind > 5) text += " ";
    }
    yield text;
  }
}

function readPacked(name: string) {
  return JSON.parse(gunzipSync(readFileSync(`${fixtures}sentencepiece-${name}.json.gz`)).toString());
}

function decode(tokenizer: Tokenizer, ids: readonly number[]): string {
  const detokenizer = new Detokenizer(tokenizer);
  return ids.map((id) => detokenizer.push(id)).join("") + detokenizer.flush();
}
