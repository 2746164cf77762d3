// Chats of ours to prompts, in this thread: for what runs beside the server, such as calibration.

import { encodePrompt } from "../chat/encode-prompt.ts";
import { loadTemplate } from "../chat/template.ts";
import { loadTokenizer } from "../chat/tokenizer.ts";
import type { Chat } from "../core/chat.ts";
import type { ModelConfig } from "../core/model-config.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import type { PdfRequest } from "../vision/image-task.ts";
import { loadImage, type ImageRequest } from "../vision/load-image.ts";
import { readPdfTexts } from "../vision/pdf-file.ts";

/** `folder` holds tokenizer and template; a prompt has fewer tokens than `contextLength`. What it returns throws as `encodePrompt` does. */
export function createPromptEncoder(
  folder: string,
  { tokens, image }: Pick<ModelConfig, "tokens" | "image">,
  contextLength: number,
): (chat: Chat) => Promise<EncodedPrompt> {
  const deps = {
    tokenizer: loadTokenizer(folder),
    template: loadTemplate(folder),
    tokens,
    loadImage: (bytes: Uint8Array, request: ImageRequest) => loadImage(bytes, image, request),
    readPdf: (file: Uint8Array, { maxPages, param }: PdfRequest) => readPdfTexts(file, maxPages, param),
    contextLength,
  };
  return (chat) => encodePrompt(chat, deps);
}
