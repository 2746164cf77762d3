// Builds grammars for strings with `pattern`, `format` and length limits.

import { type Expression, never, rule } from "./expression.ts";
import { jsonString, quoted, spellInString } from "./json-text.ts";
import { automatonExpression, refuseTooLarge } from "./regex-states.ts";
import { anything, parseRegex, type RegexNode } from "./regex.ts";
import { type LengthRange, lengthsOf, toExpression, withLengths, wholeText } from "./regex-grammar.ts";
import type { SchemaObject } from "./schema-shape.ts";
import { freeFormats, stringFormats } from "./string-formats.ts";

const anyLength: LengthRange = { min: 0, max: Infinity };

type StringHooks = {
  /** Whether keywords that are not enforced will be refused: then an automaton, which may take a second, is worthwhile. */
  readonly isStrict: boolean;
  /** Called with the keywords that are not enforced. */
  readonly ignore: (keyword: string) => void;
  /** The result of `make` for the key, made only once. */
  readonly share: (key: string, make: () => Expression | undefined) => Expression | undefined;
};

/** Throws RequestError for broken patterns. */
export function constrainedString(node: SchemaObject, path: string, { isStrict, ignore, share }: StringHooks): Expression {
  const lengths = { min: (node["minLength"] as number | undefined) ?? 0, max: (node["maxLength"] as number | undefined) ?? Infinity };
  const sources = sourcesOf(node, ignore);
  if (sources.length === 0) return isAny(lengths) ? rule("string") : jsonString(lengths.min, lengths.max);
  const param = `${path}.pattern`;
  const parsed = allOf(sources.map((source) => parseRegex(source, param)));
  const plain = wholeText(parsed, true);
  const narrowed = plain && withLengths(plain, lengths);
  if (narrowed) return quoted(toExpression(narrowed, spellInString));
  const key = JSON.stringify(sources);
  const automaton = (some: LengthRange) =>
    share(`${some.min} ${some.max} ${key}`, () => automatonExpression(withinLengths(parsed, some), spellInString));
  const exact = lengths.min > lengths.max ? never : isStrict || !plain ? automaton(lengths) : undefined;
  if (exact) return quoted(exact);
  ignoreLengths(lengths, plain ? lengthsOf(plain) : anyLength, ignore);
  const what = sources.length > 1 ? `${sources.length} patterns of one string combine` : undefined;
  return quoted(plain ? toExpression(plain, spellInString) : (automaton(anyLength) ?? refuseTooLarge(param, what)));
}

/** Texts in which each pattern finds a match. */
function allOf(patterns: readonly RegexNode[]): RegexNode {
  const [only] = patterns;
  if (patterns.length === 1) return only!;
  const claims = patterns.map((pattern): RegexNode => {
    return { type: "look", item: { type: "sequence", items: [anything, pattern] }, isNegative: false };
  });
  return { type: "sequence", items: [{ type: "start" }, ...claims] };
}

/** All texts of these lengths in which the pattern finds a match. */
function withinLengths(regex: RegexNode, lengths: LengthRange): RegexNode {
  const anywhere: RegexNode = { type: "sequence", items: [anything, regex, anything] };
  if (isAny(lengths)) return anywhere;
  const length: RegexNode = { type: "sequence", items: [{ ...anything, ...lengths }, { type: "end" }] };
  return { type: "sequence", items: [{ type: "look", item: length, isNegative: false }, anywhere] };
}

function isAny({ min, max }: LengthRange): boolean {
  return min === 0 && max === Infinity;
}

function ignoreLengths(lengths: LengthRange, own: LengthRange, ignore: (keyword: string) => void): void {
  if (lengths.min > own.min) ignore("minLength (beside this pattern or format)");
  if (lengths.max < own.max) ignore("maxLength (beside this pattern or format)");
}

/** Beside a pattern, `format` is only an annotation, as JSON Schema permits: libraries write both for the same restriction. */
function sourcesOf({ pattern, format }: SchemaObject, ignore: (keyword: string) => void): string[] {
  if (pattern !== undefined) return [pattern].flat() as string[];
  const known = stringFormats.get(format as string);
  if (format !== undefined && known === undefined && !freeFormats.has(format as string)) ignore("format");
  return known === undefined ? [] : [known];
}
