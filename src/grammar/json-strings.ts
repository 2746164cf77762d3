// Strings under `pattern`, `format` and lengths.

import { type Expression, rule } from "./expression.ts";
import { jsonString, quoted, spellInString } from "./json-text.ts";
import { parseRegex, type RegexNode } from "./regex.ts";
import { lengthsOf, resolveAnchors, toExpression, withLengths } from "./regex-grammar.ts";
import type { SchemaObject } from "./schema-shape.ts";
import { stringFormats } from "./string-formats.ts";

/** `ignore` is told the keywords that are not enforced. Throws RequestError for broken patterns. */
export function constrainedString(node: SchemaObject, path: string, ignore: (keyword: string) => void): Expression {
  const lengths = { min: (node["minLength"] as number | undefined) ?? 0, max: (node["maxLength"] as number | undefined) ?? Infinity };
  const regex = regexOf(node, path, ignore);
  if (!regex) return lengths.min === 0 && lengths.max === Infinity ? rule("string") : jsonString(lengths.min, lengths.max);
  const narrowed = withLengths(regex, lengths);
  if (!narrowed) {
    const own = lengthsOf(regex);
    if (lengths.min > own.min) ignore("minLength (beside this pattern or format)");
    if (lengths.max < own.max) ignore("maxLength (beside this pattern or format)");
  }
  return quoted(toExpression(narrowed ?? regex, spellInString));
}

/** Beside a pattern, `format` is the annotation that JSON Schema takes it for: libraries write both to say the same. */
function regexOf({ pattern, format }: SchemaObject, path: string, ignore: (keyword: string) => void): RegexNode | undefined {
  const known = stringFormats.get(format as string);
  if (format !== undefined && !known && pattern === undefined) ignore("format");
  const source = pattern === undefined ? known : (pattern as string);
  if (source === undefined) return undefined;
  const param = `${path}.pattern`;
  return resolveAnchors(parseRegex(source, param), true, param);
}
