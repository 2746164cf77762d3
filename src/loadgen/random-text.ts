// Generates texts of a given number of tokens: random words, adjusted until the server counts that many tokens.

import { SeededRandom } from "./seeded-random.ts";

/** Common words, mostly one token each in any vocabulary. */
const words = (
  "time year people way day man thing woman life child world school state family student group country problem hand part place case week " +
  "company system program question work government number night point home water room mother area money story fact month lot right study " +
  "book eye job word business issue side kind head house service friend father power hour game line end member law car city community " +
  "name president team minute idea body information back parent face others level office door health person art war history party result " +
  "change morning reason research girl guy moment air teacher force education"
).split(" ");

/** Counts the tokens of a text; undefined if the server cannot. */
export type CountTokens = (text: string) => Promise<number | undefined>;

/** Corrections of one text, after which the closest attempt is used. */
const maxRounds = 8;

const sampleWords = 200;

/** Used if the server cannot count: typical of common English words in current vocabularies. */
const usualTokensPerWord = 1.1;

function randomWords(random: SeededRandom, count: number): string[] {
  return Array.from({ length: count }, () => words[random.below(words.length)]!);
}

/**
 * Compares two samples of different lengths, which cancels the tokens of the chat template around a text. `isCounted` is false if the server
 * cannot count tokens and the ratio is an estimate.
 */
export async function tokensPerWord(count: CountTokens, seed: number): Promise<{ ratio: number; isCounted: boolean }> {
  const sample = randomWords(new SeededRandom(seed, -2), 2 * sampleWords);
  const short = await count(sample.slice(0, sampleWords).join(" "));
  const long = short === undefined ? undefined : await count(sample.join(" "));
  if (short === undefined || long === undefined || long <= short) return { ratio: usualTokensPerWord, isCounted: false };
  return { ratio: (long - short) / sampleWords, isCounted: true };
}

/** A text of about `tokenCount` tokens. With `count` it is nearly always exact, since most words are one token. */
export async function textOfTokens(random: SeededRandom, tokenCount: number, ratio: number, count?: CountTokens): Promise<string> {
  if (tokenCount === 0) return "";
  let text = randomWords(random, Math.max(1, Math.round(tokenCount / ratio)));
  let best = { text: text.join(" "), miss: Infinity };
  if (!count) return best.text;
  for (let round = 0; round < maxRounds; round++) {
    const counted = await count(text.join(" "));
    if (counted === undefined) break;
    const miss = tokenCount - counted;
    if (Math.abs(miss) < Math.abs(best.miss)) best = { text: text.join(" "), miss };
    if (miss === 0) break;
    const change = Math.round(miss / ratio) || Math.sign(miss);
    text = change > 0 ? text.concat(randomWords(random, change)) : text.slice(0, Math.max(1, text.length + change));
  }
  return best.text;
}
