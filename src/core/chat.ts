// A validated request, independent of the API that it came through.

import type { SamplingParams } from "./sampling.ts";
import type { OutputFormat } from "./structured-output.ts";

type TextPart = { readonly type: "text"; readonly text: string };

export type ImagePart = {
  readonly type: "image";
  /** The encoded file (PNG, JPEG, …); with `page`, a PDF. */
  readonly bytes: Uint8Array;
  /** Page of the PDF to draw, from 0. */
  readonly page?: number;
  /** Pixel budget of the picture. The model's own limits apply as well. */
  readonly maxPixels?: number;
  /** Where the picture stands in the request, for error messages. */
  readonly param: string;
};

/** Which frames of a video file are taken. Absent fields: the model's defaults. */
export type FrameSampling = {
  /** Frames per second of the video. */
  readonly fps?: number;
  /** Bounds on the number of frames that `fps` gives. A video with fewer frames gives all it has. */
  readonly minFrames?: number;
  readonly maxFrames?: number;
  /** Exact number of frames; overrides the others. */
  readonly targetFrames?: number;
  /** Which frame represents its interval: the first, the middle one, or a random one. */
  readonly choice?: "leading" | "middle" | "rand";
};

export type VideoSource =
  /** The encoded file (MP4, WebM, …). */
  | { readonly type: "file"; readonly bytes: Uint8Array; readonly sampling: FrameSampling }
  /** All frames to show, each an encoded picture. With `fps`, frame i was taken at i / fps seconds. */
  | { readonly type: "frames"; readonly files: readonly Uint8Array[]; readonly fps?: number };

export type VideoPart = {
  readonly type: "video";
  readonly source: VideoSource;
  /** Whether frames show their time, if known, in a corner; undefined: the model's default. */
  readonly drawsTimestamps?: boolean;
  /** Where the video stands in the request, for error messages. */
  readonly param: string;
};

/** A PDF, whose pages become pictures with their texts, or a text file. */
export type DocumentPart = {
  readonly type: "document";
  readonly bytes: Uint8Array;
  readonly title?: string;
  /** What the model is told about it. */
  readonly context?: string;
  /** Pixel budget of each page. The model's own limits apply as well. */
  readonly maxPixels?: number;
  /** Where the file stands in the request, for error messages. */
  readonly param: string;
};

/** Parts that become placeholders in the prompt. */
export type ShownPart = TextPart | ImagePart | VideoPart;

export type ContentPart = ShownPart | DocumentPart;

/** Any JSON object, bounded in depth. */
export type JsonObject = Readonly<Record<string, unknown>>;

export type ToolCall = {
  /** Links a tool's result to its call. Assigned by the server, echoed by the client. */
  readonly id: string;
  readonly name: string;
  /** JSON as the model wrote it, possibly invalid. */
  readonly arguments: string;
};

export type ChatMessage<Part = ContentPart> = {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: readonly Part[];
  /** Thinking of an earlier answer, as the client returned it. */
  readonly reasoning?: string;
  /** Calls of an earlier answer, in order. */
  readonly toolCalls?: readonly ToolCall[];
  /** Role `tool`: the call that this is the result of. */
  readonly toolCallId?: string;
};

/** A function that the model may ask the client to call. */
export type Tool = {
  /** Letters, digits, `_` and `-`. */
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments. */
  readonly parameters?: JsonObject;
  /** The arguments must follow `parameters`. */
  readonly strict?: boolean;
};

/** `auto`: the model chooses between text and calls. `required`: at least one call. A name: one call of that tool. */
export type ToolChoice = "auto" | "required" | { readonly name: string };

export type ToolUse = {
  /** At least one. The model is told of these only. */
  readonly tools: readonly Tool[];
  readonly choice: ToolChoice;
  /** False: the answer ends after its first call. */
  readonly allowsParallelCalls: boolean;
};

/** The tools that the answer may call. */
export function callableTools({ tools, choice }: ToolUse): readonly Tool[] {
  return typeof choice === "object" ? tools.filter(({ name }) => name === choice.name) : tools;
}

/** The number of calls after which the answer ends. */
export function maxCalls({ choice, allowsParallelCalls }: ToolUse): number {
  return typeof choice === "object" || !allowsParallelCalls ? 1 : Infinity;
}

/** The beginning of the answer, written by the client. If it has `text`, thinking is over. */
export type BegunAnswer = {
  readonly reasoning?: string;
  readonly text?: string;
  /** Where it stands in the request, for error messages. */
  readonly param: string;
};

export type Chat<Part = ContentPart> = {
  readonly messages: readonly ChatMessage<Part>[];
  readonly thinking: boolean;
  /** The model continues it and writes only the rest. `reasoning` requires `thinking`; without `reasoning`, `thinking` must be off. */
  readonly begun?: BegunAnswer;
  /** Absent: the model is told of no tools, and nothing it writes counts as a call. */
  readonly toolUse?: ToolUse;
};

/** The part of a chat that the prompt shows. */
export type ShownChat = Chat<ShownPart>;
export type ShownMessage = ChatMessage<ShownPart>;

/** A text to continue outside any conversation, or its tokens, which may include control tokens. */
export type TextPrompt = ({ readonly text: string } | { readonly tokenIds: readonly number[] }) & {
  /** Where it stands in the request, for error messages. */
  readonly param: string;
};

export type GenerationOptions = {
  readonly sampling: SamplingParams;
  /** Undefined: the rest of the context. */
  readonly maxTokens: number | undefined;
  readonly stopStrings: readonly string[];
  /** Number of answers; default 1. Their seeds count up from the given one. */
  readonly choiceCount?: number;
  /** Only requests with the same salt share cached prefixes and picture features. */
  readonly cacheSalt?: string;
  /** Identifies the client. The queue is fair among clients. */
  readonly clientId?: string;
  /** Among the waiting requests of one client, lower numbers come first. Default 0. */
  readonly priority?: number | undefined;
  /** Token ids that end the answer, besides the model's own end tokens. */
  readonly stopTokenIds?: readonly number[];
  /** The model's end tokens do not end the answer. */
  readonly ignoresEndTokens?: boolean;
  /** Most tokens of thinking before the answer proper begins; at least 1. Undefined: no separate limit. */
  readonly thinkingBudget?: number | undefined;
  /** No end token may be drawn before the answer has this many tokens. */
  readonly minTokens?: number | undefined;
  /** If set, events carry log-probabilities of each token and of this many most likely ones: 0 … 20. */
  readonly logprobCount?: number | undefined;
  /** With `logprobCount`: also for the token that ends the answer. */
  readonly tellsEndLogprob?: boolean;
  /** The same for the tokens of the prompt, which is then computed in full, without cached prefixes: 0 … 20. */
  readonly promptLogprobCount?: number | undefined;
  /** Whether control tokens within the answer are spelled out. */
  readonly spellsSpecials?: boolean;
  /** Whether events carry the ids of the tokens that they come from. */
  readonly returnsTokenIds?: boolean;
  /** Whether `finished` reports the experts chosen for its tokens. */
  readonly returnsRouting?: boolean;
  /** The form that the answer proper must have. */
  readonly format?: OutputFormat;
};
