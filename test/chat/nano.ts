// For the tests of this folder: the nano tokenizer and template, recorded outputs of Python, and fakes.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ChatServiceDeps, createChatService } from "../../src/chat/complete.ts";
import type { TokenSource } from "../../src/chat/generate-answer.ts";
import type { ShownChat, ShownMessage, ShownPart, Tool, ToolUse } from "../../src/core/chat.ts";
import type { SpecialTokens } from "../../src/core/model-config.ts";
import type { ImagePatches } from "../../src/core/prompt.ts";

export const fixtures = fileURLToPath(new URL("../fixtures/chat/", import.meta.url));
export const nanoFolder = `${fixtures}nano`;
export const byteFallbackFolder = `${fixtures}byte-fallback`;

export const nanoTokens: SpecialTokens = {
  bos: 5,
  pad: 3,
  eos: [6],
  image: 7,
  video: 10,
  imageStart: 8,
  imageEnd: 9,
  videoStart: 11,
  videoEnd: 12,
};
export const think = 13;
export const endThink = 14;

/** Outputs of Python's tokenizers, recorded by scripts/make-chat-fixtures.py. */
export const tokenIdCases: readonly { text: string; nano: number[]; byteFallback: number[] }[] = readCases("token-ids.json");

type SampleMessage = { readonly role: ShownMessage["role"]; readonly content: string | readonly { type: string; text?: string }[] };

/** Outputs of Python's transformers for the nano samples. `grids`: patch rows and columns of the pictures. */
export const promptCases: readonly {
  messages: SampleMessage[];
  thinking: boolean;
  prompt: string;
  grids: [number, number][];
  ids: number[];
}[] = readCases("prompts.json");

type ToolSample = {
  readonly messages: readonly {
    role: ShownMessage["role"];
    content: string;
    tool_calls?: { function: { name: string; arguments: object } }[];
  }[];
  readonly tools: readonly Tool[] | null;
  readonly enable_thinking: boolean;
  readonly prompt: string;
};

/** The samples of the nano model with tools, and the prompts that Python's transformers renders for them. */
export function toolSamples(): { chat: ShownChat; prompt: string }[] {
  const file = new URL("../../models/ernie-vl-nano/samples/samples.json", import.meta.url);
  const samples = JSON.parse(readFileSync(file, "utf8")) as ToolSample[];
  return samples.flatMap(({ messages, tools, enable_thinking: thinking, prompt }) => {
    if (!tools) return [];
    const toolUse: ToolUse = { tools, choice: "auto", allowsParallelCalls: true };
    const toMessage = ({ role, content, tool_calls: calls = [] }: ToolSample["messages"][number]): ShownMessage => ({
      role,
      content: toParts(content),
      toolCalls: calls.map(({ function: { name, arguments: args } }) => ({ id: "", name, arguments: JSON.stringify(args) })),
    });
    return [{ chat: { messages: messages.map(toMessage), thinking, toolUse }, prompt }];
  });
}

export function toChat({ messages, thinking }: { messages: readonly SampleMessage[]; thinking: boolean }): ShownChat {
  return { messages: messages.map(({ role, content }) => ({ role, content: toParts(content) })), thinking };
}

export function makeChat(text: string, thinking = false): ShownChat {
  return { messages: [{ role: "user", content: [{ type: "text", text }] }], thinking };
}

export function makeImage(patchRows: number, patchColumns: number): ImagePatches {
  return {
    hash: `${patchRows}x${patchColumns}`,
    patches: new Uint8Array(patchRows * patchColumns * 588),
    frameCount: 1,
    patchRows,
    patchColumns,
  };
}

function toParts(content: SampleMessage["content"]): ShownPart[] {
  if (typeof content === "string") return [{ type: "text", text: content }];
  return content.map(({ text }, index) =>
    text === undefined ? { type: "image", bytes: new Uint8Array(), param: `content[${index}]` } : { type: "text", text },
  );
}

function readCases(name: string) {
  return JSON.parse(readFileSync(`${fixtures}${name}`, "utf8")).cases;
}

/** For services whose answers never have a form. */
function noGrammar(): never {
  throw new Error("no answer was to have a form");
}

/** A chat service with the nano model's files. Every picture has 4 × 4 patches. */
export function makeService(engine: TokenSource, overrides: Partial<ChatServiceDeps> = {}): ReturnType<typeof createChatService> {
  return createChatService({
    modelFolder: nanoFolder,
    config: { tokens: nanoTokens },
    engine,
    loadImage: async () => makeImage(4, 4),
    contextLength: 4096,
    vocabSize: 2048,
    startGrammar: noGrammar,
    ...overrides,
  });
}
