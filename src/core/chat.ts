// What a client asked for, validated and in our words.

import type { SamplingParams } from "./sampling.ts";

export type TextPart = { readonly type: "text"; readonly text: string };

export type ImagePart = {
  readonly type: "image";
  /** The encoded file (PNG, JPEG, …). */
  readonly bytes: Uint8Array;
  /** Pixel budget of the picture; the model's own limits hold besides. */
  readonly maxPixels?: number;
  /** Where the picture stands in the request, for error messages. */
  readonly param: string;
};

export type ContentPart = TextPart | ImagePart;

export type ChatMessage = {
  readonly role: "system" | "user" | "assistant";
  readonly content: readonly ContentPart[];
  /** Thinking of an earlier answer, as the client returned it. */
  readonly reasoning?: string;
};

export type Chat = {
  readonly messages: readonly ChatMessage[];
  readonly thinking: boolean;
};

export type GenerationOptions = {
  readonly sampling: SamplingParams;
  /** Undefined: the rest of the context. */
  readonly maxTokens: number | undefined;
  readonly stopStrings: readonly string[];
};
