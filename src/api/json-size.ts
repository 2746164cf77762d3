// How much a JSON text holds, seen before it is parsed: a short text can hold millions of values, each of which costs more than its bytes.

import { RequestError } from "../core/errors.ts";

/** Among them token ids: 64 prompts of 15,000. */
const maxValues = 1_000_000;
/** A conversation of 10,000 messages, parts and calls, and the schemas of its tools, stay below. */
const maxContainers = 100_000;

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const openingBracket = 0x5b;
const openingBrace = 0x7b;

/** Throws RequestError when there are too many values, or too many objects and arrays among them. `json`: UTF-8, valid or not. */
export function refuseManyValues(json: Uint8Array): void {
  let containerCount = 0;
  let commaCount = 0;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (byte === quote) i = endOfString(json, i);
    else if (byte === openingBrace || byte === openingBracket) containerCount++;
    else if (byte === comma) commaCount++;
    else continue;
    // A container holds one value more than it has commas, or none.
    if (containerCount > maxContainers) throw tooMany(maxContainers, "objects and arrays");
    if (containerCount + commaCount > maxValues) throw tooMany(maxValues, "values");
  }
}

/** The place of the quote that ends the string, or the end of the text. */
function endOfString(json: Uint8Array, start: number): number {
  const next = json.indexOf(quote, start + 1); // the fast way, which pictures in base64 take
  if (next < 0) return json.length;
  if (json[next - 1] !== backslash) return next;
  let end = start + 1;
  while (end < json.length && json[end] !== quote) end += json[end] === backslash ? 2 : 1;
  return end;
}

function tooMany(limit: number, what: string): RequestError {
  return new RequestError(`expected a body of at most ${limit} JSON ${what}, got more; send less in one request`);
}
