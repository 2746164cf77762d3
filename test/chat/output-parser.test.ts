import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OutputParser } from "../../src/chat/output-parser.ts";
import type { AnswerPart } from "../../src/core/events.ts";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { ToolUse } from "../../src/core/chat.ts";
import { endThink, nanoFolder, nanoTokens, think } from "./nano.ts";

const tokenizer = loadTokenizer(nanoFolder);
const end = nanoTokens.eos[0]!;
const thinkingPrompt = [5, endThink, think]; // the thinking of an earlier turn has ended, that of this turn has not
const plainPrompt = [5, think, endThink];

type Answer = { reasoning: string; content: string; reasoningTokenCount: number; isStopped: boolean };
/** Control tokens are single ids; text has one token per character. */
type Script = readonly (string | number)[];

describe("OutputParser", () => {
  const cases: { name: string; prompt?: number[]; script: Script; stops?: string[]; reasoning?: string; content: string }[] = [
    { name: "content only, when the prompt's thinking is closed", script: ["\nHi", end], content: "\nHi" },
    {
      name: "thinking, then content",
      prompt: thinkingPrompt,
      script: ["I see.\n", endThink, "\n\nA cat.", end],
      reasoning: "I see.",
      content: "A cat.",
    },
    {
      name: "newlines inside of thinking and content",
      prompt: thinkingPrompt,
      script: ["\na\n\nb\n", endThink, "c\n\nd\n"],
      reasoning: "a\n\nb",
      content: "c\n\nd\n",
    },
    {
      name: "an answer of the Thinking model, whose prompt ends in a newline after <think>",
      prompt: tokenizer.encodeTemplate("User: Hi\nAssistant: \n<think>\n"),
      script: ["I see.\n", endThink, "\n\n\nA cat.", end],
      reasoning: "I see.",
      content: "A cat.",
    },
    {
      name: "an answer of the Thinking model with its thinking closed",
      prompt: tokenizer.encodeTemplate("User: Hi\nAssistant: \n<think>\n\n</think>\n\n"),
      script: ["A cat.", end],
      content: "A cat.",
    },
    { name: "thinking that never ends", prompt: thinkingPrompt, script: ["So\n", end], reasoning: "So", content: "" },
    {
      name: "a second <think> after that of the prompt",
      prompt: thinkingPrompt,
      script: [think, "\na", endThink, "b"],
      reasoning: "a",
      content: "b",
    },
    { name: "a <think> that the model adds by itself", prompt: [5], script: [think, "a", endThink, "b"], reasoning: "a", content: "b" },
    { name: "a </think> without thinking, and the newline after it", script: [endThink, "\nHi"], content: "\nHi" },
    { name: "markers in the middle of content", script: ["a", think, "b", endThink, "c"], content: "abc" },
    {
      name: "text that looks like markers",
      prompt: thinkingPrompt,
      script: ["</think>x", endThink, "<think>y"],
      reasoning: "</think>x",
      content: "<think>y",
    },
    {
      name: "no newlines of content from before a stop string",
      prompt: thinkingPrompt,
      script: [endThink, "\n\nab\nc"],
      stops: ["\n"],
      content: "ab",
    },
    {
      name: "thinking that contains a stop string",
      prompt: thinkingPrompt,
      script: ["a b", endThink, "c d"],
      stops: [" "],
      reasoning: "a b",
      content: "c",
    },
    { name: "what looked like a stop string until the end", script: ["a EN", end], stops: ["END"], content: "a EN" },
    { name: "an unfinished character", script: ["a", tokenizer.encodeText("👍")[0]!], content: "a\ufffd" },
    {
      name: "an unfinished character of the thinking",
      prompt: thinkingPrompt,
      script: ["a", tokenizer.encodeText("👍")[0]!, endThink, "b"],
      reasoning: "a\ufffd",
      content: "b",
    },
    { name: "nothing for the end token alone", script: [end], content: "" },
  ];

  test.each(cases)("shows $name", ({ prompt = plainPrompt, script, stops = [], reasoning = "", content }) => {
    expect(parse(toTokens(script), prompt, stops)).toMatchObject({ reasoning, content });
  });

  test("counts the tokens of thinking without its markers", () => {
    const ids = [...tokenizer.encodeText("abc"), endThink, ...tokenizer.encodeText("d"), end];
    const answer = parse(ids, thinkingPrompt, []);
    expect(answer.reasoningTokenCount).toBe(tokenizer.encodeText("abc").length);
  });

  test("of an answer that the prompt begins, the first newlines are within it, and <think> opens nothing", () => {
    const show = (promptTokenIds: number[], script: Script) => {
      const options = { promptTokenIds: Int32Array.from(promptTokenIds), stopStrings: [], endTokenIds: [end], isBegun: true };
      const output = new OutputParser(tokenizer, options);
      return merged([...toTokens(script).flatMap((id) => output.push(id)), ...output.flush()]);
    };

    expect(show([...thinkingPrompt, ...tokenizer.encodeText("a")], ["\nb\n", endThink, "\nc", end])).toEqual([
      { type: "reasoning", text: "\nb" },
      { type: "content", text: "c" },
    ]);
    expect(show([...plainPrompt, ...tokenizer.encodeText("a")], [think, "\nb", end])).toEqual([{ type: "content", text: "\nb" }]);
  });

  test("streams all thinking but newlines at once", () => {
    const output = makeParser(thinkingPrompt);
    const shown = toTokens(["a \n", "b"]).map((id) =>
      output
        .push(id)
        .map((part) => (part.type === "tool-call" ? "" : part.text))
        .join(""),
    );
    expect(shown).toEqual(["a", " ", "", "\nb"]);
  });

  test("shows the same for any tokens that spell an answer", () => {
    const text = fc.array(fc.constantFrom("a", "b", " ", "\n", "é", "👍", "stop", "</think>", "red circle")).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, text, fc.array(fc.nat()), (reasoning, content, cuts) => {
        const whole = [...tokenizer.encodeText(reasoning), endThink, ...tokenizer.encodeText(content), end];
        const cut = [...encodeCut(reasoning, cuts), endThink, ...encodeCut(content, cuts), end];
        const expected = show(parse(whole, thinkingPrompt, ["stop", "a b"]));
        expect(show(parse(cut, thinkingPrompt, ["stop", "a b"]))).toEqual(expected);
        expect(expected.reasoning).toBe(reasoning.replace(/^\n+|\n+$/g, ""));
      }),
    );
  });

  test("shows what could have begun a stop string before the call that follows it", () => {
    const output = new OutputParser(tokenizer, {
      promptTokenIds: Int32Array.from(plainPrompt),
      stopStrings: ["stop"],
      endTokenIds: [end],
      toolUse: { tools: [{ name: "clock" }], choice: "auto", allowsParallelCalls: true },
    });
    const [open, close] = ["<tool_call>", "</tool_call>"].map((name) => tokenizer.controlTokenId(name)!);
    const ids = toTokens(["I sto", open!, '{"name": "clock", "arguments": {}}', close!, end]);

    expect(merged([...ids.flatMap((id) => output.push(id)), ...output.flush()])).toEqual([
      { type: "content", text: "I sto" },
      { type: "tool-call", name: "clock" },
      { type: "tool-arguments", text: "{}" },
    ]);
  });

  test("shows the same parts, in the same order, for any tokens that spell an answer with calls", () => {
    const markers = ["<think>", "</think>", "<tool_call>", "</tool_call>"].map((name) => tokenizer.controlTokenId(name)!);
    const call = '{"name": "clock", "arguments": {"zone": "é👍"}}';
    const text = fc.constantFrom(
      "a",
      "\n",
      " ",
      "stop",
      "é",
      "👍",
      "{",
      "}",
      '"',
      call,
      call.slice(0, 30),
      '{"name": "rm", "arguments": {}}',
    );
    const script = fc.array(fc.oneof(text, fc.constantFrom(...markers)), { maxLength: 10 });
    const toolUse: ToolUse = { tools: [{ name: "clock" }], choice: "auto", allowsParallelCalls: true };
    const partsOf = (tokenIds: readonly number[], prompt: readonly number[]) => {
      const output = new OutputParser(tokenizer, {
        promptTokenIds: Int32Array.from(prompt),
        stopStrings: ["stop", "p a"],
        endTokenIds: [end],
        toolUse,
      });
      const parts = tokenIds.flatMap((id) => (output.isStopped ? [] : output.push(id)));
      return merged([...parts, ...output.flush()]);
    };
    fc.assert(
      fc.property(script, fc.array(fc.nat(), { maxLength: 5 }), fc.boolean(), (items, cuts, isThinking) => {
        const prompt = isThinking ? thinkingPrompt : plainPrompt;
        const tokens = (encode: (text: string) => number[]) =>
          joined(items).flatMap((item) => (typeof item === "number" ? [item] : encode(item)));
        const expected = partsOf([...tokens((item) => tokenizer.encodeText(item)), end], prompt);
        expect(partsOf([...tokens((item) => encodeCut(item, cuts)), end], prompt)).toEqual(expected);
        expect(expected.every((part, i) => part.type !== "tool-arguments" || expected[i - 1]?.type === "tool-call")).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

/** Joins neighbouring texts. */
function joined(items: readonly (string | number)[]): (string | number)[] {
  return items.reduce<(string | number)[]>((all, item) => {
    const last = all.at(-1);
    return typeof last === "string" && typeof item === "string" ? [...all.slice(0, -1), last + item] : [...all, item];
  }, []);
}

/** Joins neighbouring texts of one kind. */
function merged(parts: readonly AnswerPart[]): AnswerPart[] {
  return parts.reduce<AnswerPart[]>((all, part) => {
    const last = all.at(-1);
    if (last?.type !== part.type || part.type === "tool-call" || last.type === "tool-call") return [...all, part];
    return [...all.slice(0, -1), { ...part, text: last.text + part.text }];
  }, []);
}

function makeParser(promptTokenIds: readonly number[], stopStrings: readonly string[] = []): OutputParser {
  return new OutputParser(tokenizer, { promptTokenIds: Int32Array.from(promptTokenIds), stopStrings, endTokenIds: [end] });
}

/** Stops at a stop string, as the chat service does. */
function parse(tokenIds: readonly number[], prompt: readonly number[], stops: readonly string[]): Answer {
  const output = makeParser(prompt, stops);
  const answer = { reasoning: "", content: "" };
  const take = (parts: readonly AnswerPart[]) => {
    for (const part of parts) if (part.type === "reasoning" || part.type === "content") answer[part.type] += part.text;
  };
  for (const id of tokenIds) {
    if (output.isStopped) break;
    take(output.push(id));
  }
  take(output.flush());
  const { reasoningTokenCount, isStopped } = output;
  return { ...answer, reasoningTokenCount, isStopped };
}

function show({ reasoning, content, isStopped }: Answer) {
  return { reasoning, content, isStopped };
}

function toTokens(script: Script): number[] {
  return script.flatMap((part) => (typeof part === "number" ? part : [...part].flatMap((character) => tokenizer.encodeText(character))));
}

/** The same text in different tokens: encoded in slices, some of one character. */
function encodeCut(text: string, cuts: readonly number[]): number[] {
  const characters = [...text];
  const places = cuts.map((cut) => cut % (characters.length + 1)).toSorted((a, b) => a - b);
  return [...places, characters.length].flatMap((place, index) =>
    tokenizer.encodeText(characters.slice(places[index - 1] ?? 0, place).join("")),
  );
}
