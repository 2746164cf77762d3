// Removes the parts of a grammar that can never be completed, and refuses grammars with undefined rules, without any answer or with left recursion.
// Afterwards every partial match can be completed.

import { RequestError } from "../core/errors.ts";
import { type Expression, type Grammar, never } from "./expression.ts";

type PrunedGrammar = Grammar & { readonly isNullable: (expression: Expression) => boolean };

/** Throws RequestError. */
export function pruneGrammar(grammar: Grammar): PrunedGrammar {
  const { root, rules } = reachable(grammar);
  const possible = fixpoint(rules, (expression, isKnown) => canMatch(expression, isKnown));
  const pruned = new Map([...rules].flatMap(([name, body]) => (possible.has(name) ? [[name, prune(body, possible)] as const] : [])));
  if (!canMatch(root, possible)) throw new RequestError("no answer can satisfy the constraint: it contradicts itself");
  const nullable = fixpoint(pruned, canBeEmpty);
  const isNullable = (expression: Expression) => canBeEmpty(expression, nullable);
  refuseLeftRecursion(pruned, isNullable);
  return { root: prune(root, possible), rules: pruned, isNullable };
}

type Names = { has(name: string): boolean };

/** Rules that the root needs. */
function reachable({ root, rules }: Grammar): Grammar {
  const found = new Map<string, Expression>();
  const pending = rulesIn(root);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (found.has(name)) continue;
    const body = rules.get(name);
    if (!body) throw new RequestError(`the grammar uses the rule ${JSON.stringify(name)}, which it does not define`);
    found.set(name, body);
    pending.push(...rulesIn(body));
  }
  return { root, rules: found };
}

function rulesIn(expression: Expression): string[] {
  if (expression.type === "rule") return [expression.name];
  return parts(expression).flatMap(rulesIn);
}

function parts(expression: Expression): readonly Expression[] {
  if (expression.type === "sequence") return expression.items;
  if (expression.type === "choice") return expression.options;
  return expression.type === "repeat" ? [expression.item] : [];
}

/** Names of the rules for which the claim holds, starting from none. */
function fixpoint(rules: ReadonlyMap<string, Expression>, holds: (body: Expression, known: Names) => boolean): ReadonlySet<string> {
  const users = new Map<string, string[]>();
  for (const [name, body] of rules) {
    for (const used of rulesIn(body)) {
      const list = users.get(used);
      if (list) list.push(name);
      else users.set(used, [name]);
    }
  }
  const known = new Set<string>();
  const pending = [...rules.keys()];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (known.has(name) || !holds(rules.get(name)!, known)) continue;
    known.add(name);
    pending.push(...(users.get(name) ?? []));
  }
  return known;
}

function canMatch(expression: Expression, possible: Names): boolean {
  switch (expression.type) {
    case "characters":
      return expression.ranges.length > 0;
    case "sequence":
      return expression.items.every((item) => canMatch(item, possible));
    case "choice":
      return expression.options.some((option) => canMatch(option, possible));
    case "repeat":
      return expression.min <= expression.max && (expression.min === 0 || canMatch(expression.item, possible));
    case "rule":
      return possible.has(expression.name);
    default:
      return true;
  }
}

function canBeEmpty(expression: Expression, nullable: Names): boolean {
  switch (expression.type) {
    case "text":
      return expression.text === "";
    case "sequence":
      return expression.items.every((item) => canBeEmpty(item, nullable));
    case "choice":
      return expression.options.some((option) => canBeEmpty(option, nullable));
    case "repeat":
      return expression.min === 0 || canBeEmpty(expression.item, nullable);
    case "rule":
      return nullable.has(expression.name);
    case "states":
      return expression.states[0]!.isEnd;
    default:
      return false;
  }
}

function prune(expression: Expression, possible: Names): Expression {
  if (!canMatch(expression, possible)) return never;
  if (expression.type === "sequence") return { type: "sequence", items: expression.items.map((item) => prune(item, possible)) };
  if (expression.type === "choice") {
    const options = expression.options.filter((option) => canMatch(option, possible)).map((option) => prune(option, possible));
    return options.length === 1 ? options[0]! : { type: "choice", options };
  }
  if (expression.type !== "repeat") return expression;
  if (!canMatch(expression.item, possible)) return { ...expression, max: 0 };
  return { ...expression, item: prune(expression.item, possible) };
}

function refuseLeftRecursion(rules: ReadonlyMap<string, Expression>, isNullable: (expression: Expression) => boolean): void {
  const firsts = new Map([...rules].map(([name, body]) => [name, firstRules(body, isNullable)]));
  const done = new Set<string>();
  for (const start of rules.keys()) {
    // Depth first without recursion: a chain of rules may be long.
    const path = new Set<string>();
    const pending: { name: string; leave: boolean }[] = [{ name: start, leave: false }];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const { name, leave } = next;
      if (leave) {
        path.delete(name);
        done.add(name);
        continue;
      }
      if (path.has(name)) {
        const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name); // a rule of a schema is named after its text
        throw new RequestError(`the rule ${shown} begins with itself; write the repetition with * or at its end`);
      }
      if (done.has(name)) continue;
      path.add(name);
      pending.push({ name, leave: true }, ...firsts.get(name)!.map((first) => ({ name: first, leave: false })));
    }
  }
}

/** Rules that may be the first thing an expression reads. */
function firstRules(expression: Expression, isNullable: (expression: Expression) => boolean): string[] {
  if (expression.type === "rule") return [expression.name];
  if (expression.type !== "sequence") return parts(expression).flatMap((part) => firstRules(part, isNullable));
  const names: string[] = [];
  for (const item of expression.items) {
    names.push(...firstRules(item, isNullable));
    if (!isNullable(item)) break;
  }
  return names;
}
