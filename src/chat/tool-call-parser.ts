// Finds calls in the content of an answer, between the tokens <tool_call> and </tool_call>: {"name": …, "arguments": {…}}.
// -PT, Thinking and nano differ only in white space, which is ignored. Anything that is not a call of an offered tool stays text.

import type { AnswerPart } from "../core/events.ts";
import { parseJson } from "../core/parse-json.ts";
import { toolCallTokens } from "../core/structured-output.ts";
import { HeldNewlines } from "./held-newlines.ts";

/** Any part but thinking, which is split off earlier. */
export type ContentPart = Exclude<AnswerPart, { type: "reasoning" }>;

/** The usual beginning of a call. The arguments after it are passed on as they arrive. */
const callBeginning = /^\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)/;
/** A call that does not begin this way within this many UTF-16 units is parsed when it is complete. */
const beginningLimit = 1024;

type Phase =
  | { readonly type: "text" }
  /** Inside the tokens, but not yet known to be a call. */
  | { readonly type: "call"; raw: string }
  /** Inside the arguments of a call: nesting depth of brackets, and whether a string is open. */
  | { readonly type: "arguments"; depth: number; isInString: boolean; isEscaped: boolean }
  /** After the arguments. The rest of the call is ignored. */
  | { readonly type: "tail" };

export class ToolCallParser {
  readonly #names: ReadonlySet<string>;
  readonly #maxCalls: number;
  #phase: Phase = { type: "text" };
  #callCount = 0;
  /** Newlines between text and call, and between calls, belong to the format. */
  readonly #newlines = new HeldNewlines();
  #isBehindCall = false;

  /** `names`: tools that may be called. `maxCalls`: the answer ends after this many calls. */
  constructor(names: Iterable<string>, maxCalls: number) {
    this.#names = new Set(names);
    this.#maxCalls = maxCalls;
  }

  get callCount(): number {
    return this.#callCount;
  }

  /** True once the last allowed call is complete; what follows is not part of the answer. */
  get isFull(): boolean {
    return this.#callCount >= this.#maxCalls && this.#phase.type === "text";
  }

  /** Takes text other than the two tokens, cut anywhere. */
  pushText(text: string): ContentPart[] {
    const phase = this.#phase;
    switch (phase.type) {
      case "text":
        return this.#showText(text);
      case "call": {
        const isUndecided = phase.raw.length < beginningLimit;
        phase.raw += text;
        return isUndecided ? this.#tryBegin(phase.raw) : [];
      }
      case "arguments":
        return this.#passArguments(phase, text);
      case "tail":
        return [];
    }
  }

  /** Takes note of a <tool_call>. One inside another ends the outer one. */
  open(): ContentPart[] {
    const parts = this.#phase.type === "text" ? [] : this.#endCall("");
    if (!this.isFull) this.#phase = { type: "call", raw: "" };
    return parts;
  }

  /** Takes note of a </tool_call>. It is ignored outside of a call. */
  close(): ContentPart[] {
    return this.#phase.type === "text" ? [] : this.#endCall(toolCallTokens.end);
  }

  /** Returns what was held back, at the end of the answer. A call that is cut short keeps the arguments it has. */
  flush(): ContentPart[] {
    const parts = this.#phase.type === "text" ? [] : this.#endCall("");
    const held = this.#newlines.take();
    return held === "" ? parts : [...parts, { type: "content", text: held }];
  }

  #showText(text: string): ContentPart[] {
    const seen = this.#isBehindCall ? text.replace(/^\n+/, "") : text;
    if (seen === "") return [];
    this.#isBehindCall = false;
    const shown = this.#newlines.push(seen);
    return shown === "" ? [] : [{ type: "content", text: shown }];
  }

  #tryBegin(raw: string): ContentPart[] {
    const match = callBeginning.exec(raw.slice(0, beginningLimit)); // the same for every cut of the text
    const name = match && this.#offeredName(parseJson(match[1]!));
    if (!name) return [];
    this.#beginCall();
    const phase: Phase = { type: "arguments", depth: 0, isInString: false, isEscaped: false };
    this.#phase = phase;
    return [{ type: "tool-call", name }, ...this.#passArguments(phase, raw.slice(match[0].length))];
  }

  #passArguments(phase: Extract<Phase, { type: "arguments" }>, text: string): ContentPart[] {
    let end = 0;
    for (; end < text.length; end++) {
      const character = text[end]!;
      if (phase.isInString) {
        if (character === '"' && !phase.isEscaped) phase.isInString = false;
        phase.isEscaped = character === "\\" && !phase.isEscaped;
      } else if (character === '"') phase.isInString = true;
      else if (character === "{" || character === "[") phase.depth++;
      else if ((character === "}" || character === "]") && --phase.depth === 0) {
        this.#phase = { type: "tail" };
        end++;
        break;
      }
    }
    return end === 0 ? [] : [{ type: "tool-arguments", text: text.slice(0, end) }];
  }

  /** Content that did not begin like a call may still be one as a whole. */
  #endCall(closing: string): ContentPart[] {
    const phase = this.#phase;
    this.#phase = { type: "text" };
    if (phase.type !== "call") return [];
    const call = this.#wholeCall(phase.raw);
    if (!call) return this.#showText(toolCallTokens.begin + phase.raw + closing);
    this.#beginCall();
    return [
      { type: "tool-call", name: call.name },
      { type: "tool-arguments", text: call.arguments },
    ];
  }

  #beginCall(): void {
    this.#callCount++;
    this.#newlines.take();
    this.#isBehindCall = true;
  }

  /** Accepts members in any order, arguments as a string or left out, and a missing last brace; none that nest deeper than `parseJson` reads. */
  #wholeCall(raw: string): { readonly name: string; readonly arguments: string } | undefined {
    const value = parseJson(raw) ?? parseJson(`${raw}}`);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const { name: givenName, arguments: given } = value as Record<string, unknown>;
    const name = this.#offeredName(givenName);
    const args = given ?? {};
    const isText = typeof args === "string";
    const object = isText ? parseJson(args) : args;
    if (name === undefined || typeof object !== "object" || object === null || Array.isArray(object)) return undefined;
    return { name, arguments: isText ? args : JSON.stringify(object) };
  }

  #offeredName(name: unknown): string | undefined {
    return typeof name === "string" && this.#names.has(name) ? name : undefined;
  }
}
