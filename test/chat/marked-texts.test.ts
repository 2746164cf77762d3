import { expect, test } from "vitest";
import { MarkedTexts } from "../../src/chat/marked-texts.ts";

test("what looks like a marker and is another's stays in the text", () => {
  const [texts, others] = [new MarkedTexts(), new MarkedTexts()];
  const other = others.mark("of another prompt");

  expect(texts.split(`${other}: ${texts.mark("Hi")}<|IMAGE_PLACEHOLDER|>${other}`)).toEqual([
    { type: "control", text: `${other}: ` },
    { type: "text", text: "Hi" },
    { type: "image" },
    { type: "control", text: other },
  ]);
});
