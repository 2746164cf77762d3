// JSON Schema as a grammar: every text that the grammar allows is valid for the schema. The reverse need not hold: properties come in
// the order of the schema, and objects with named properties get others only where `additionalProperties` says so.

import { isDeepStrictEqual } from "node:util";
import { RequestError } from "../core/errors.ts";
import { choice, type Expression, type Grammar, never, repeat, rule, sequence, text } from "./expression.ts";
import { areDisjoint } from "./disjoint-schemas.ts";
import { integersBetween, multiplesBetween, numbersBetween } from "./digit-ranges.ts";
import { keyExcept } from "./json-keys.ts";
import { constrainedString } from "./json-strings.ts";
import { anyBoolean, type JsonSyntax } from "./json-text.ts";
import { literalLimits } from "./literal-limits.ts";
import { mergeSchemas, NotMergeable } from "./merge-schemas.ts";
import { isAnyName, withNamePattern } from "./property-names.ts";
import {
  arrayKeywords,
  checkKeywords,
  isAssertion,
  isFalse,
  isObject,
  numberKeywords,
  objectKeywords,
  type SchemaObject,
  stringKeywords,
  type TypeName,
} from "./schema-shape.ts";

/** Limit on merged schemas, because merging can multiply them. */
const maxVisits = 20_000;
/** Most nested schemas, references included. */
const maxDepth = 200;
/** Most paths in an error. A deep schema could have thousands, and each may be as long as half of it. */
const maxListed = 20;

const typeKeywords: readonly (readonly [TypeName, readonly string[]])[] = [
  ["object", objectKeywords],
  ["array", arrayKeywords],
  ["string", stringKeywords],
  ["number", numberKeywords],
];

export type SchemaGrammar = Grammar & {
  /** Paths of keywords that the grammar does not enforce. */
  readonly ignored: readonly string[];
};

type SchemaOptions = {
  /** Whether to refuse keywords that cannot be enforced. */
  readonly isStrict: boolean;
  readonly syntax: JsonSyntax;
  /** Path of the schema in the request, for errors. */
  readonly param: string;
  /** Prefix of all rule names. */
  readonly prefix: string;
};

/** For schemas that `checkSchemaSize` has passed. Throws RequestError. */
export function schemaGrammar(schema: unknown, options: SchemaOptions): SchemaGrammar {
  return new SchemaCompiler(schema, options).compile();
}

class SchemaCompiler {
  readonly #document: unknown;
  readonly #options: SchemaOptions;
  readonly #syntax: JsonSyntax;
  readonly #rules: Map<string, Expression>;
  /** Results of merging, whose keywords have been checked before. */
  readonly #merged = new WeakSet<object>();
  readonly #ignored = new Set<string>();
  /** Rules of costly expressions that may recur; undefined: too large. */
  readonly #shared = new Map<string, Expression | undefined>();
  /** Rules whose bodies are not built yet. */
  readonly #pending: { readonly name: string; readonly depth: number; readonly body: () => Expression }[] = [];
  #visits = 0;
  #depth = 0;

  constructor(document: unknown, options: SchemaOptions) {
    this.#document = document;
    this.#options = options;
    this.#syntax = options.syntax;
    this.#rules = new Map(options.syntax.rules());
  }

  compile(): SchemaGrammar {
    const { param, isStrict } = this.#options;
    const root = this.#schema(this.#document, param);
    for (let next = this.#pending.pop(); next; next = this.#pending.pop()) {
      this.#depth = next.depth;
      this.#rules.set(next.name, next.body());
    }
    const ignored = [...this.#ignored];
    if (isStrict && ignored.length > 0) {
      const rest = ignored.length > maxListed ? ` and ${ignored.length - maxListed} more` : "";
      const listed = ignored.slice(0, maxListed).join(", ") + rest;
      const message = `${param}: these keywords cannot be enforced: ${listed}; remove them or set strict to false`;
      throw new RequestError(message, { param });
    }
    return { root, rules: this.#rules, ignored };
  }

  #schema(node: unknown, path: string): Expression {
    return this.#deeper(() => this.#read(node, path));
  }

  #deeper<T>(read: () => T): T {
    if (this.#depth >= maxDepth) this.#fail(this.#options.param, "its schemas lead too deep into each other, or in a circle");
    this.#depth++;
    const result = read();
    this.#depth--;
    return result;
  }

  #read(given: unknown, path: string): Expression {
    if (++this.#visits > maxVisits) this.#fail(path, "the schema combines too many alternatives; simplify it");
    const node = this.#checked(given, path);
    if (node === true) return rule("value");
    if (node === false) return never;
    if (typeof node["$ref"] === "string") return this.#reference(node, node["$ref"], path);
    for (const keyword of ["allOf", "anyOf", "oneOf"] as const) {
      if (Array.isArray(node[keyword])) return this.#combination(node, keyword, node[keyword], path);
    }
    if (Array.isArray(node["enum"]) || Object.hasOwn(node, "const")) return this.#literals(node, path);
    return choice(...this.#typesOf(node).map((type) => this.#ofType(type, node, path)));
  }

  #checked(schema: unknown, path: string): SchemaObject | boolean {
    if (typeof schema === "boolean") return schema;
    if (!isObject(schema)) this.#fail(path, "expected a schema (an object, true or false)");
    if (isFalse(schema)) return false;
    if (!this.#merged.has(schema)) for (const keyword of checkKeywords(schema, path)) this.#ignore(path, keyword);
    return schema;
  }

  #ignore(path: string, keyword: string): void {
    this.#ignored.add(`${path}.${keyword}`);
  }

  #fail(path: string, problem: string): never {
    throw new RequestError(`${path}: ${problem}`, { param: path });
  }

  /** Keywords beside the reference are part of the rule, because they may recur inside the target as well. */
  #reference(node: SchemaObject, pointer: string, path: string): Expression {
    const isAlone = !Object.keys(node).some((keyword) => keyword !== "$ref" && isAssertion(keyword));
    if (!isAlone) return this.#recurring(JSON.stringify(node), 0, () => this.#schema(this.#resolve(node, path), path));
    const targetPath = `${this.#options.param}${pointer.slice(1).replaceAll("/", ".")}`;
    const target = this.#target(pointer, path);
    return this.#recurring(pointer, 0, () => this.#schema(target, targetPath));
  }

  /** A rule for a schema that may contain itself. Built later, so that its own rule exists by then. */
  #recurring(key: string, depth: number, body: () => Expression): Expression {
    const name = `${this.#options.prefix}${key}`;
    if (!this.#rules.has(name)) {
      this.#rules.set(name, never); // in its turn
      this.#pending.push({ name, depth, body });
    }
    return rule(name);
  }

  /** Follows `$ref` and merges the keywords beside it. */
  #resolve<S>(schema: S, path: string): S | SchemaObject | boolean {
    if (!isObject(schema) || typeof schema["$ref"] !== "string") return schema;
    const node = this.#checked(schema, path);
    if (typeof node === "boolean") return node;
    const { $ref: pointer, ...beside } = node;
    return this.#deeper(() => this.#resolve(this.#merge(this.#target(pointer as string, path), beside, path), path));
  }

  #target(pointer: string, path: string): unknown {
    if (!/^#(\/|$)/.test(pointer))
      this.#fail(`${path}.$ref`, `expected a reference into this schema ("#/$defs/…"), got ${JSON.stringify(pointer)}`);
    let target = this.#document;
    for (const part of pointer.split("/").slice(1)) {
      const name = decodePointer(part);
      const isThere = typeof target === "object" && target !== null && Object.hasOwn(target, name);
      if (!isThere) this.#fail(`${path}.$ref`, `nothing in this schema is at ${JSON.stringify(pointer)}`);
      target = (target as SchemaObject)[name];
    }
    return target;
  }

  #merge(a: unknown, b: unknown, path: string): SchemaObject | boolean {
    const [first, second] = [a, b].map((schema) => this.#resolve(this.#checked(schema, path), path));
    try {
      const merged = mergeSchemas(first!, second!);
      if (isObject(merged)) this.#merged.add(merged);
      return merged;
    } catch (error) {
      if (!(error instanceof NotMergeable)) throw error;
      this.#fail(path, `cannot combine two schemas that both use ${error.message}; write them as one`);
    }
  }

  /** Merging resolves references, so what is merged gets a rule: a reference inside may lead back to it. */
  #combination(node: SchemaObject, keyword: "allOf" | "anyOf" | "oneOf", parts: readonly unknown[], path: string): Expression {
    const { [keyword]: _, ...rest } = node;
    this.#merged.add(rest);
    const isAlone = !Object.keys(rest).some(isAssertion);
    if (keyword !== "allOf" && isAlone) return this.#anyOf(keyword, parts, path);
    return this.#recurring(JSON.stringify(node), this.#depth, () => {
      if (keyword === "allOf") return this.#allOf(rest, parts, path);
      const merged = parts.map((part, i) => this.#merge(rest, part, `${path}.${keyword}[${i}]`));
      return this.#anyOf(keyword, merged, path);
    });
  }

  #allOf(rest: SchemaObject, parts: readonly unknown[], path: string): Expression {
    let merged: unknown = rest;
    for (const [i, part] of parts.entries()) {
      if (++this.#visits > maxVisits) this.#fail(path, "the schema combines too many alternatives; simplify it");
      merged = this.#merge(merged, part, `${path}.allOf[${i}]`);
    }
    return this.#schema(merged, path);
  }

  #anyOf(keyword: "anyOf" | "oneOf", options: readonly unknown[], path: string): Expression {
    if (keyword === "oneOf") {
      const resolved = options.map((option, i) => this.#resolve(option, `${path}.oneOf[${i}]`));
      if (!areDisjoint(resolved, (schema) => this.#resolve(schema, path)))
        this.#ignore(path, "oneOf (its alternatives may overlap; use anyOf)");
    }
    return choice(...options.map((option, i) => this.#schema(option, `${path}.${keyword}[${i}]`)));
  }

  #literals(node: SchemaObject, path: string): Expression {
    const { enum: listed, const: constant, ...rest } = node;
    const limits = Object.entries(rest).filter(([keyword]) => isAssertion(keyword));
    for (const [keyword] of limits) if (!literalLimits.has(keyword)) this.#ignore(path, `${keyword} (beside enum or const)`);
    const values = Array.isArray(listed) ? listed : [constant];
    const kept = Object.hasOwn(node, "const") ? values.filter((value) => isDeepStrictEqual(value, constant)) : values;
    const isValid = (value: unknown) => limits.every(([keyword, limit]) => literalLimits.get(keyword)?.(value, limit) ?? true);
    return choice(...kept.filter(isValid).map((value) => text(JSON.stringify(value))));
  }

  /** Without `type`, the keywords imply the types; without such keywords, all types are allowed. */
  #typesOf(node: SchemaObject): readonly (TypeName | "any")[] {
    if (node["type"] !== undefined) {
      const types = [node["type"]].flat() as TypeName[];
      return types.filter((type) => type !== "integer" || !types.includes("number"));
    }
    const meant = typeKeywords.filter(([, keywords]) => keywords.some((keyword) => node[keyword] !== undefined)).map(([type]) => type);
    return meant.length > 0 ? meant : ["any"];
  }

  #ofType(type: TypeName | "any", node: SchemaObject, path: string): Expression {
    switch (type) {
      case "any":
        return rule("value");
      case "null":
        return text("null");
      case "boolean":
        return anyBoolean;
      case "string":
        return constrainedString(node, path, {
          isStrict: this.#options.isStrict,
          ignore: (keyword) => this.#ignore(path, keyword),
          share: (key, make) => this.#share(key, make),
        });
      case "integer":
      case "number":
        return this.#number(type, node, path);
      case "array":
        return this.#array(node, path);
      case "object":
        return this.#object(node, path);
    }
  }

  #number(type: "integer" | "number", node: SchemaObject, path: string): Expression {
    const [minimum, maximum, exclusiveMinimum, exclusiveMaximum] = numberKeywords.map((keyword) => node[keyword] as number | undefined);
    const bounds = { minimum, maximum, exclusiveMinimum, exclusiveMaximum };
    const step = node["multipleOf"] as number | undefined;
    const isInteger = type === "integer" || step === 1;
    const multiples = step === undefined || step === 1 ? undefined : multiplesBetween(bounds, step, isInteger);
    if (multiples) return multiples;
    if (step !== undefined && step !== 1)
      this.#ignore(path, "multipleOf (without a minimum and a maximum, or with too many values between them)");
    if (Object.values(bounds).every((bound) => bound === undefined)) return rule(isInteger ? "integer" : "number");
    const between = isInteger ? integersBetween(bounds) : numbersBetween(bounds);
    if (!between) this.#ignore(path, "minimum or maximum (of more than 6 decimals)");
    return between ?? rule("number");
  }

  #array(node: SchemaObject, path: string): Expression {
    const { items, prefixItems } = node;
    const prefix = Array.isArray(prefixItems) ? prefixItems.map((item, i) => this.#schema(item, `${path}.prefixItems[${i}]`)) : [];
    const min = (node["minItems"] as number | undefined) ?? 0;
    const max = (node["maxItems"] as number | undefined) ?? Infinity;
    // More items than the named ones only if the schema asks for them. A rule, because lists contain their item twice.
    const isClosed = items === undefined && prefix.length >= Math.max(1, min);
    const rest = isClosed ? never : this.#fresh(this.#schema(items ?? true, `${path}.items`));
    if (prefix.length === 0) {
      // If nothing satisfies the item, only the empty array is left.
      const some = this.#syntax.list(rest, Math.max(1, min), max);
      return this.#syntax.array(min > 0 ? (max < min ? never : some) : choice(sequence(), max > 0 ? some : never));
    }
    return this.#syntax.array(this.#tuple(prefix, rest, min, max));
  }

  #tuple(prefix: readonly Expression[], rest: Expression, min: number, max: number): Expression {
    const more = repeat(sequence(rule("comma"), rest), Math.max(0, min - prefix.length), max - prefix.length);
    let tail = max < min ? never : max > prefix.length ? more : sequence();
    for (let i = prefix.length - 1; i >= 0; i--) {
      const item = i === 0 ? prefix[i]! : sequence(rule("comma"), prefix[i]!);
      const going = i < max ? sequence(item, tail) : never;
      tail = i >= min ? choice(sequence(), going) : going;
    }
    return tail;
  }

  #object(given: SchemaObject, path: string): Expression {
    const node = this.#merged.has(given) ? given : withNamePattern(given);
    if (node["patternProperties"] !== undefined) this.#ignore(path, "patternProperties (other than one pattern alone)");
    const { additionalProperties: additional } = node;
    const properties = new Map(isObject(node["properties"]) ? Object.entries(node["properties"]) : []);
    const required = new Set(node["required"] as string[] | undefined);
    for (const name of required) if (!properties.has(name)) properties.set(name, additional ?? true);
    const isOpen = additional === undefined ? node["properties"] === undefined : additional !== false;
    const names = this.#resolve(this.#checked(node["propertyNames"] ?? true, `${path}.propertyNames`), `${path}.propertyNames`);
    const listed = isObject(names) && Array.isArray(names["enum"]) ? (names["enum"] as unknown[]) : undefined;
    if (listed) for (const name of properties.keys()) if (!listed.includes(name)) properties.set(name, false);
    if (properties.size > 0 && !listed && !isAnyName(names)) this.#ignore(path, "propertyNames (beside properties)");
    const value = isOpen ? this.#fresh(this.#schema(additional ?? true, `${path}.additionalProperties`)) : never;
    const other = this.#syntax.member(isOpen ? this.#otherKey([...properties.keys()], names, `${path}.propertyNames`) : never, value);

    const min = (node["minProperties"] as number | undefined) ?? 0;
    const max = (node["maxProperties"] as number | undefined) ?? Infinity;
    if (properties.size === 0) {
      // Repeated keys count as one property, so at most one property is sure to exist.
      if (min > 1) this.#ignore(path, "minProperties");
      const some = this.#syntax.list(other, 1, max);
      return this.#syntax.object(min > 0 ? (max > 0 ? some : never) : choice(sequence(), max > 0 ? some : never));
    }
    if (min > required.size) this.#ignore(path, "minProperties");
    if (max < properties.size || (isOpen && max < Infinity)) this.#ignore(path, "maxProperties");
    return this.#syntax.object(this.#members(properties, required, other, path));
  }

  /** A key that is not in `named` and that the schema of property names allows. */
  #otherKey(named: readonly string[], names: unknown, path: string): Expression {
    if (isObject(names) && Array.isArray(names["enum"])) {
      const rest = names["enum"].filter((name) => typeof name === "string" && !named.includes(name));
      return rest.length === 0 ? never : this.#schema({ ...names, enum: rest }, path);
    }
    if (named.length > 0) return keyExcept(named, (body) => this.#fresh(body));
    return isAnyName(names) ? rule("string") : this.#schema(this.#merge(names, { type: "string" }, path), path);
  }

  /** Members in order. Each place has two rules: one begins with a comma, the other is for when no member came before. */
  #members(properties: ReadonlyMap<string, unknown>, required: ReadonlySet<string>, other: Expression, path: string): Expression {
    let later = repeat(sequence(rule("comma"), other), 0, Infinity);
    let first = choice(sequence(), this.#syntax.list(other, 1, Infinity));
    for (const [name, schema] of [...properties].toReversed()) {
      const value = this.#schema(schema, `${path}.properties.${name}`);
      const member = this.#syntax.member(text(JSON.stringify(name)), this.#fresh(value));
      const rest = this.#fresh(later);
      const [withComma, withoutComma] = [sequence(rule("comma"), member, rest), sequence(member, rest)];
      later = required.has(name) ? withComma : choice(withComma, rest);
      first = required.has(name) ? withoutComma : choice(withoutComma, this.#fresh(first));
    }
    return first;
  }

  #share(key: string, make: () => Expression | undefined): Expression | undefined {
    if (!this.#shared.has(key)) {
      const made = make();
      this.#shared.set(key, made && this.#fresh(made));
    }
    return this.#shared.get(key);
  }

  #fresh(body: Expression): Expression {
    if (body.type === "rule") return body;
    const name = `${this.#options.prefix}${this.#rules.size}`;
    this.#rules.set(name, body);
    return rule(name);
  }
}

function decodePointer(part: string): string {
  let name = part;
  try {
    name = decodeURIComponent(part);
  } catch {
    // not an escape: the name as it is
  }
  return name.replaceAll("~1", "/").replaceAll("~0", "~");
}
