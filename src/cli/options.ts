// Parsers of option values. Errors say what is allowed.

import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { InvalidArgumentError } from "commander";
import { UserError } from "../core/errors.ts";

export const deviceChoices = ["auto", "cpu", "cuda"] as const;
export type DeviceChoice = (typeof deviceChoices)[number];

/** For commander: a whole number in a range. */
export function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN; // Number("") would be 0: an unset shell variable
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${low} to ${high}.`);
  };
}

/** For commander: a name, address or path. An empty value, as from an unset shell variable, would mean the current folder or any address. */
export function notEmpty(text: string): string {
  if (text.trim() !== "") return text;
  throw new InvalidArgumentError("Expected a value, got an empty one; is a shell variable unset?");
}

/** For commander: an address to listen on. An IPv6 address may have the brackets that it has in a URL. */
export function listenAddress(text: string): string {
  return notEmpty(text).replace(/^\[(.+)\]$/, "$1");
}

/** For commander: adds a name, refuses duplicates. A folder after a name was meant for --model: vLLM takes the model as an argument. */
export function modelName(text: string, before: readonly string[] = []): readonly string[] {
  if (isPath(text)) throw new InvalidArgumentError("Expected a name, got a folder; pass the folder with --model.");
  if (!before.includes(text)) return [...before, notEmpty(text)];
  throw new InvalidArgumentError("The same name was given twice.");
}

const isPath = (text: string): boolean => /^(\.\.?|~)\//.test(text) || (isAbsolute(text) && existsSync(text));

/**
 * For commander: adds a key. Throws UserError for a key that no client could send, and above all for an empty one. The message does not
 * repeat it.
 */
export function apiKey(text: string, before: readonly string[] = []): readonly string[] {
  if (isApiKey(text) && !isPath(text)) return [...before, text];
  const got = text === "" ? "nothing" : isPath(text) ? "a path" : "other characters";
  throw new UserError(`--api-key (or ERNIE_VL_API_KEY): expected printable ASCII without spaces, got ${got}`);
}

/** Whether clients can send it in a header. */
export function isApiKey(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** For commander: adds an origin, spelt as browsers do, or `*`. Throws UserError for one that no browser would send. */
export function webOrigin(text: string, before: readonly string[]): readonly string[] {
  if (text === "*") return [...before, text];
  if (!/^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*]+\/?$/i.test(text) || !URL.canParse(text)) {
    const expected = "an origin such as https://chat.example.org, app://obsidian.md or *";
    throw new UserError(`--allow-origin: expected ${expected}, got ${JSON.stringify(text)}`);
  }
  // Browsers lower-case web origins and omit default ports; schemes of apps have no such rules.
  const { origin } = new URL(text);
  return [...before, origin === "null" ? text.replace(/\/$/, "") : origin];
}

/** For commander: a number above 0, at most a million. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1_000_000) return value;
  throw new InvalidArgumentError("Expected a number above 0, at most 1000000.");
}

/** For commander: a temperature of sampling. */
export function temperature(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 2) return value;
  throw new InvalidArgumentError("Expected a number from 0 to 2.");
}

/** For commander: a number above 0, at most 1. */
export function fraction(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("Expected a number above 0 and at most 1.");
}
