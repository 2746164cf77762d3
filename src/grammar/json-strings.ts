// Strings under `pattern`, `format` and lengths.

import { type Expression, never, rule } from "./expression.ts";
import { jsonString, quoted, spellInString } from "./json-text.ts";
import { hasLookAhead, lookAheadExpression, refuseLookAheads } from "./look-ahead.ts";
import { anything, parseRegex, type RegexNode } from "./regex.ts";
import { type LengthRange, lengthsOf, resolveAnchors, toExpression, withLengths } from "./regex-grammar.ts";
import type { SchemaObject } from "./schema-shape.ts";
import { stringFormats } from "./string-formats.ts";

const anyLength: LengthRange = { min: 0, max: Infinity };

type StringHooks = {
  /** Told the keywords that are not enforced. */
  readonly ignore: (keyword: string) => void;
  /** What `make` gave for the key, made only once. */
  readonly share: (key: string, make: () => Expression | undefined) => Expression | undefined;
};

/** Throws RequestError for broken patterns. */
export function constrainedString(node: SchemaObject, path: string, hooks: StringHooks): Expression {
  const lengths = { min: (node["minLength"] as number | undefined) ?? 0, max: (node["maxLength"] as number | undefined) ?? Infinity };
  const sources = sourcesOf(node, hooks.ignore);
  if (sources.length === 0) return isAny(lengths) ? rule("string") : jsonString(lengths.min, lengths.max);
  const param = `${path}.pattern`;
  const parsed = allOf(sources.map((source) => parseRegex(source, param)));
  if (hasLookAhead(parsed)) {
    const what = sources.length > 1 ? `${sources.length} patterns of one string combine` : undefined;
    return quoted(lookingAhead(parsed, lengths, hooks, JSON.stringify(sources)) ?? refuseLookAheads(param, what));
  }
  const regex = resolveAnchors(parsed, true, param);
  const narrowed = withLengths(regex, lengths);
  if (!narrowed) ignoreLengths(lengths, lengthsOf(regex), hooks.ignore);
  return quoted(toExpression(narrowed ?? regex, spellInString));
}

/** What each of them finds somewhere in the text. */
function allOf(patterns: readonly RegexNode[]): RegexNode {
  const [only] = patterns;
  if (patterns.length === 1) return only!;
  const claims = patterns.map((pattern): RegexNode => {
    return { type: "look", item: { type: "sequence", items: [anything, pattern] }, isNegative: false };
  });
  return { type: "sequence", items: [{ type: "start" }, ...claims] };
}

/** Undefined: too large, even without the lengths. */
function lookingAhead(regex: RegexNode, lengths: LengthRange, { ignore, share }: StringHooks, source: string): Expression | undefined {
  const anywhere: RegexNode = { type: "sequence", items: [anything, regex, anything] };
  const keyOf = ({ min, max }: LengthRange) => `${min} ${max} ${source}`;
  if (!isAny(lengths)) {
    const length: RegexNode = { type: "sequence", items: [{ ...anything, ...lengths }, { type: "end" }] };
    const bounded: RegexNode = { type: "sequence", items: [{ type: "look", item: length, isNegative: false }, anywhere] };
    const expression = lengths.min > lengths.max ? never : share(keyOf(lengths), () => lookAheadExpression(bounded, spellInString));
    if (expression) return expression;
    ignoreLengths(lengths, anyLength, ignore);
  }
  return share(keyOf(anyLength), () => lookAheadExpression(anywhere, spellInString));
}

function isAny({ min, max }: LengthRange): boolean {
  return min === 0 && max === Infinity;
}

function ignoreLengths(lengths: LengthRange, own: LengthRange, ignore: (keyword: string) => void): void {
  if (lengths.min > own.min) ignore("minLength (beside this pattern or format)");
  if (lengths.max < own.max) ignore("maxLength (beside this pattern or format)");
}

/** Beside a pattern, `format` is the annotation that JSON Schema takes it for: libraries write both to say the same. */
function sourcesOf({ pattern, format }: SchemaObject, ignore: (keyword: string) => void): string[] {
  if (pattern !== undefined) return [pattern].flat() as string[];
  const known = stringFormats.get(format as string);
  if (format !== undefined && known === undefined) ignore("format");
  return known === undefined ? [] : [known];
}
