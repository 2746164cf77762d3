// A page in English shows texts in other languages, and a browser chooses the shapes of their characters by the `lang` that is given here.

import { expect, test } from "vitest";
import { languageOf } from "../../web/view/language-of.ts";

test.each([
  ["请用三句话介绍一下长江。", "zh-Hans"],
  ["骨", "zh-Hans"],
  ["這是什麼？請問捷運站在哪裡？", "zh-Hant"],
  ["我们说“這個”。这就是繁体。", "zh-Hans"],
  ["日本の四季について、それぞれ一文で説明してください。", "ja"],
  ["東京都庁舎の展望室へ行く", "ja"],
  ["“の”是日语助词，表示所属关系，这里不需要翻译。", "zh-Hans"],
  ["이 그림에는 무엇이 있습니까? 漢字", "ko"],
  ["安装：\n```sh\nnpm install && npm start -- --port 8000\n```\n然后打开页面。", "zh-Hans"],
  ["In Chinese, the word for water is written 水, as in most scripts derived from it.", undefined],
  ["Which number is printed here?", undefined],
  ["Привет, мир", undefined],
  ["", undefined],
  ["123 😀", undefined],
])("%s", (text, language) => {
  expect(languageOf(text)).toBe(language);
});
