// Tells Chinese, Japanese and Korean texts apart: they share characters, but not their shapes, so a browser must know which font to take.

export type Language = "zh-Hans" | "zh-Hant" | "ja" | "ko";

/** The beginning tells; a long answer is drawn often while it grows. */
const enough = 1000;

/** Frequent characters that one way of writing Chinese has and the other has not. */
const simplified = /[这个们来说时对国为会过还没问样现开关经]/g;
const traditional = /[這個們來說時對國為會過還沒問樣現開關經]/g;

/** As a `lang` attribute; undefined for texts mostly in other scripts, whose languages the page does not know. */
export function languageOf(text: string): Language | undefined {
  const start = text.slice(0, enough);
  const count = (characters: RegExp) => start.match(characters)?.length ?? 0;
  const [letters, han, kana, hangul] = [
    count(/\p{L}/gu),
    count(/\p{sc=Han}/gu),
    count(/[\p{sc=Hira}\p{sc=Kana}]/gu),
    count(/\p{sc=Hang}/gu),
  ];
  const characters = han + kana + hangul;
  if (characters === 0 || 10 * characters < letters) return undefined; // a quotation, or a name
  if (2 * hangul > characters) return "ko";
  if (10 * kana > han) return "ja";
  return count(traditional) > count(simplified) ? "zh-Hant" : "zh-Hans";
}
