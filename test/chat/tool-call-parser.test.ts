import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ToolCallParser } from "../../src/chat/tool-call-parser.ts";

type Call = { readonly name: string; readonly arguments: string };
type Result = { readonly content: string; readonly calls: readonly Call[] };

const weather = '{"name": "get_weather", "arguments": {"city": "Rome"}}';
const rome: Call = { name: "get_weather", arguments: '{"city": "Rome"}' };
const clock = '{"name": "clock", "arguments": {}}';
const noArguments: Call = { name: "clock", arguments: "{}" };

const table: readonly (readonly [name: string, answer: string, content: string, calls?: readonly Call[]])[] = [
  ["no call", "Hello {there}.\n", "Hello {there}.\n"],
  ["a call in nano's form", `<tool_call>${weather}</tool_call>`, "", [rome]],
  ["a call in the Thinking model's form", `\n<tool_call>\n${weather}\n</tool_call>\n`, "", [rome]],
  [
    "two calls",
    `<tool_call>\n${weather}\n</tool_call>\n<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>\n`,
    "",
    [rome, noArguments],
  ],
  ["text before and after", `Let me see.\n\n<tool_call>${weather}</tool_call>\n\nWait.`, "Let me see.Wait.", [rome]],
  ["lines of text after a call", `<tool_call>${clock}</tool_call>\na\n\nb`, "a\n\nb", [noArguments]],
  ["text between", `a\n<tool_call>${weather}</tool_call>\nb\n<tool_call>${clock}</tool_call>c`, "abc", [rome, noArguments]],
  [
    "brackets and quotes in strings",
    String.raw`<tool_call>{"name": "clock", "arguments": {"a": "}]\"{\\", "b": [{"c": "\\\""}]}}</tool_call>`,
    "",
    [{ name: "clock", arguments: String.raw`{"a": "}]\"{\\", "b": [{"c": "\\\""}]}` }],
  ],
  ["other blanks", '<tool_call>{"name":"clock","arguments":{ }}</tool_call>', "", [{ name: "clock", arguments: "{ }" }]],
  ["members in another order", '<tool_call>{"arguments": {"a": 1}, "name": "clock"}</tool_call>', "", [call('{"a":1}')]],
  ["lines around such a call", 'a\n<tool_call>{"arguments": {}, "name": "clock"}</tool_call>\nb', "ab", [noArguments]],
  ["further members", '<tool_call>{"name": "clock", "arguments": {"a": 1}, "id": 7}</tool_call>', "", [call('{"a": 1}')]],
  ["further members before", '<tool_call>{"id": 7, "name": "clock", "arguments": {"a": 1}}</tool_call>', "", [call('{"a":1}')]],
  ["arguments left out", '<tool_call>{"name": "clock"}</tool_call>', "", [noArguments]],
  ["arguments that are null", '<tool_call>{"name": "clock", "arguments": null}</tool_call>', "", [noArguments]],
  ["arguments as text", String.raw`<tool_call>{"name": "clock", "arguments": "{\"a\": 1}"}</tool_call>`, "", [call('{"a": 1}')]],
  ["the last brace forgotten", '<tool_call>{"name": "clock", "arguments": {}</tool_call>', "", [noArguments]],
  ["the last brace forgotten, arguments first", '<tool_call>{"arguments": {}, "name": "clock"</tool_call>', "", [noArguments]],
  ["a brace too many", `<tool_call>${clock}}</tool_call>.`, ".", [noArguments]],
  ["a call that is not closed", `<tool_call>${weather}`, "", [rome]],
  ["a call that is not closed before the next", `<tool_call>${weather}<tool_call>${clock}</tool_call>`, "", [rome, noArguments]],
  ["arguments cut short", '<tool_call>{"name": "clock", "arguments": {"a": "b', "", [call('{"a": "b')]],
  ["arguments that are no JSON", '<tool_call>{"name": "clock", "arguments": {a: 1}}</tool_call>', "", [call("{a: 1}")]],
  ["a name in escapes", String.raw`<tool_call>{"name": "cl\u006fck", "arguments": {}}</tool_call>`, "", [noArguments]],
  ["a close without a call", "a</tool_call>b", "ab"],
  ["nothing in a call", "<tool_call></tool_call>", "<tool_call></tool_call>"],
  ["no JSON in a call", "a\n<tool_call>clock()</tool_call>\n", "a\n<tool_call>clock()</tool_call>\n"],
  [
    "a tool that is not offered",
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
    '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
  ],
  ["no name", '<tool_call>{"arguments": {}}</tool_call>', '<tool_call>{"arguments": {}}</tool_call>'],
  ["an array", "<tool_call>[]</tool_call>", "<tool_call>[]</tool_call>"],
  [
    "arguments that are a list",
    '<tool_call>{"name": "clock", "arguments": [1]}</tool_call>',
    '<tool_call>{"name": "clock", "arguments": [1]}</tool_call>',
  ],
  ["a name cut short", '<tool_call>{"name": "clo', '<tool_call>{"name": "clo'],
  ["no call, then a call", `<tool_call>{</tool_call><tool_call>${clock}</tool_call>`, "<tool_call>{</tool_call>", [noArguments]],
];

const cases = table.map(([name, answer, content, calls = []]) => ({ name, answer, content, calls }));

function call(args: string): Call {
  return { name: "clock", arguments: args };
}

describe("ToolCallParser", () => {
  test.each(cases)("finds calls and text: $name", ({ answer, content, calls }) => {
    expect(parse([answer])).toEqual({ content, calls });
  });

  test.each(cases)("says the same however the text is cut: $name", ({ answer }) => {
    const expected = parse([answer]);
    fc.assert(
      fc.property(fc.array(fc.nat(answer.length)), (cuts) => {
        expect(parse(cutAt(answer, cuts))).toEqual(expected);
      }),
      { numRuns: 30 },
    );
    expect(parse([...answer])).toEqual(expected);
  });

  test("says the same however any text is cut, and loses none outside of calls", () => {
    const pieces = [
      "<tool_call>",
      "</tool_call>",
      "\n",
      "a",
      "{",
      "}",
      '"',
      "\\",
      '{"name": "clock", "arguments": ',
      '{"x": 1}',
      weather,
      " ",
    ];
    const text = fc
      .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 3 })), { maxLength: 12 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (answer, cuts) => {
        const whole = parse([answer]);
        expect(parse(cutAt(answer, cuts))).toEqual(whole);
        if (whole.calls.length === 0) expect(whole.content.replaceAll("</tool_call>", "")).toBe(answer.replaceAll("</tool_call>", ""));
      }),
      { numRuns: 500 },
    );
  });

  test("says the same however a call is cut whose beginning is too long to be taken for one", () => {
    for (const blanks of [900, 990, 1000, 1100]) {
      const answer = `<tool_call>${" ".repeat(blanks)}${weather}</tool_call>`;
      expect(parse([...answer]).calls).toHaveLength(1);
      expect(parse([...answer])).toEqual(parse([answer]));
    }
  });

  test("takes no longer for newlines than for any text", () => {
    const text = `${"\n".repeat(250_000)}x`; // searching for the end of each run of newlines would take minutes
    expect(makeParser().pushText(text)).toEqual([{ type: "content", text }]);
  });

  test("takes no call for one whose arguments are nested without end and come before its name", () => {
    const nested = (depth: number): string =>
      `<tool_call>{"arguments": {"a": ${"[".repeat(depth)}${"]".repeat(depth)}}, "name": "clock"}</tool_call>`;
    for (const depth of [1100, 20_000]) expect(parse([nested(depth)])).toEqual({ content: nested(depth), calls: [] });
    expect(parse([nested(900)]).calls).toHaveLength(1);
  });

  test("passes the name on before the arguments, and these as they come", () => {
    const parser = makeParser();
    parser.open();
    expect(parser.pushText('{"name": "clock", "arguments": ')).toEqual([]);
    expect(parser.pushText("{")).toEqual([
      { type: "tool-call", name: "clock" },
      { type: "tool-arguments", text: "{" },
    ]);
    expect(parser.pushText('"a"')).toEqual([{ type: "tool-arguments", text: '"a"' }]);
    expect(parser.pushText(": 1}}")).toEqual([{ type: "tool-arguments", text: ": 1}" }]);
  });

  test("is full after the last allowed call, and not before it is complete", () => {
    const parser = makeParser(1);
    parser.open();
    parser.pushText(weather);
    expect(parser.isFull).toBe(false);
    parser.close();
    expect(parser.isFull).toBe(true);
  });

  test("takes no second call where one is allowed, closed or not", () => {
    const parser = makeParser(1);
    parser.open();
    parser.pushText(weather);
    expect(parser.open()).toEqual([]);
    expect(parser.isFull).toBe(true);
    expect(parser.callCount).toBe(1);
  });
});

function makeParser(maxCalls = Infinity): ToolCallParser {
  return new ToolCallParser(["get_weather", "clock"], maxCalls);
}

/** The spelling of a control token stands for the token, which is never cut. */
function parse(texts: readonly string[]): Result {
  const parser = makeParser();
  const result: { content: string; calls: { name: string; arguments: string }[] } = { content: "", calls: [] };
  const take = (parts: ReturnType<ToolCallParser["pushText"]>) => {
    for (const part of parts) {
      if (part.type === "content") result.content += part.text;
      else if (part.type === "tool-call") result.calls.push({ name: part.name, arguments: "" });
      else result.calls.at(-1)!.arguments += part.text;
    }
  };
  for (const item of joinMarkers(texts)) {
    if (item === "<tool_call>") take(parser.open());
    else if (item === "</tool_call>") take(parser.close());
    else take(parser.pushText(item));
  }
  take(parser.flush());
  return result;
}

/** The pieces of the texts. Every marker is a piece of its own. */
function joinMarkers(texts: readonly string[]): string[] {
  const cuts = new Set<number>();
  let length = 0;
  for (const text of texts) cuts.add((length += text.length));
  const pieces: string[] = [];
  let end = 0;
  for (const match of texts.join("").matchAll(/<\/?tool_call>|[^]/g)) {
    const isMarker = match[0].length > 1;
    if (isMarker || pieces.length === 0 || cuts.has(match.index) || pieces.at(-1)!.endsWith("tool_call>")) pieces.push(match[0]);
    else pieces[pieces.length - 1] += match[0];
    end = match.index + match[0].length;
  }
  expect(end).toBe(length);
  return pieces;
}

function cutAt(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].toSorted((a, b) => a - b);
  return [0, ...places].map((start, i) => text.slice(start, places[i] ?? text.length)).filter((piece) => piece !== "");
}
