// The sample pictures that come with the nano model, as requests; the answers are what the reference implementation gave.

import { readFileSync } from "node:fs";
import type { ChatCompletionContentPart, ChatCompletionMessageParam, ChatCompletionTool, FunctionDefinition } from "openai/resources";
import { modelFolder } from "./start-server.ts";

export type Sample = {
  readonly skill: string;
  readonly thinking: boolean;
  readonly messages: ChatCompletionMessageParam[];
  readonly answer: string;
  /** Empty without thinking. */
  readonly reasoning: string;
};

type RawMessage = { role: "user" | "assistant"; content: string | { type: string; text?: string }[] };

type RawSample = {
  readonly skill: string;
  readonly images: readonly string[];
  readonly is_video: boolean;
  readonly messages: readonly RawMessage[];
  readonly tools: unknown;
  readonly enable_thinking: boolean;
  readonly hf_output: string;
  readonly hf_answer: string;
};

/** All but the video, which is in video.test.ts, and tools. */
export function readSamples(): Sample[] {
  const raw = JSON.parse(readFileSync(`${modelFolder}/samples/samples.json`, "utf8")) as RawSample[];
  return raw.filter((sample) => !sample.is_video && !sample.tools).map(toSample);
}

type RawToolMessage = {
  readonly role: "user" | "assistant" | "tool";
  readonly content: string;
  readonly tool_calls?: { function: { name: string; arguments: object } }[];
};

type ToolSample = {
  readonly skill: string;
  readonly messages: ChatCompletionMessageParam[];
  readonly tools: ChatCompletionTool[];
  /** Text of the reference's answer, with any call as the model writes it. */
  readonly output: string;
};

/** The samples with tools, as clients send them: arguments are compact JSON. */
export function readToolSamples(): ToolSample[] {
  const raw = JSON.parse(readFileSync(`${modelFolder}/samples/samples.json`, "utf8")) as RawSample[];
  return raw.flatMap(({ skill, messages, tools, hf_output: output }) => {
    if (!tools) return [];
    const toMessage = ({ role, content, tool_calls: calls }: RawToolMessage): ChatCompletionMessageParam => {
      if (role === "tool") return { role, content, tool_call_id: "call_0" };
      if (role === "user" || !calls) return { role, content };
      const toCall = ({ function: { name, arguments: args } }: (typeof calls)[number], index: number) => {
        return { id: `call_${index}`, type: "function" as const, function: { name, arguments: JSON.stringify(args) } };
      };
      return { role, content: null, tool_calls: calls.map(toCall) };
    };
    const declared = tools as FunctionDefinition[];
    return [
      {
        skill,
        messages: (messages as RawToolMessage[]).map(toMessage),
        tools: declared.map((tool) => ({ type: "function", function: tool })),
        output,
      },
    ];
  });
}

export function dataUri(fileName: string): string {
  return `data:image/png;base64,${readFileSync(`${modelFolder}/samples/${fileName}`, "base64")}`;
}

function toSample(raw: RawSample): Sample {
  const images = [...raw.images];
  const toPart = (part: { type: string; text?: string }): ChatCompletionContentPart =>
    part.type === "text" ? { type: "text", text: part.text! } : { type: "image_url", image_url: { url: dataUri(images.shift()!) } };
  return {
    skill: raw.skill,
    thinking: raw.enable_thinking,
    messages: raw.messages.map(({ role, content }) =>
      typeof content === "string" ? { role, content } : { role: "user", content: content.map(toPart) },
    ),
    answer: raw.hf_answer,
    reasoning: raw.hf_output.includes("</think>") ? raw.hf_output.split("</think>")[0]!.trim() : "",
  };
}
