// Chat → EncodedPrompt: renders the template, tokenizes, inserts placeholders for pictures and videos, assigns positions and expert banks.

import { setMaxListeners } from "node:events";
import type { Chat, ImagePart, ShownChat, ShownPart, VideoPart } from "../core/chat.ts";
import { assert, RequestError } from "../core/errors.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import type { SpecialTokens } from "../core/model-config.ts";
import { type EncodedPrompt, type ImagePatches, spanLength, type VisionSpan } from "../core/prompt.ts";
import { WorkGate } from "../core/work-gate.ts";
import type { ImageRequest } from "../vision/load-image.ts";
import type { VideoRequest } from "../vision/load-video.ts";
import { createPixelBudget, type PixelBudget } from "../vision/pixel-budget.ts";
import { assignPositions, type PromptRun } from "../vision/positions.ts";
import { expandDocuments, type ReadPdf } from "./expand-documents.ts";
import { maxConversationItems } from "./json-bounds.ts";
import type { PromptSegment } from "./marked-texts.ts";
import { orderResults } from "./order-results.ts";
import type { ChatTemplate } from "./template.ts";
import type { PromptText, Tokenizer } from "./tokenizer.ts";

/** Decodes one picture. Throws RequestError when the picture is at fault, and the signal's reason when it aborts while the picture waits. */
export type LoadImage = (bytes: Uint8Array, request: ImageRequest, signal: AbortSignal) => Promise<ImagePatches>;

/** Decodes one video. Throws RequestError when the video is at fault, and the signal's reason when it aborts. */
export type LoadVideo = (part: VideoPart, request: VideoRequest) => Promise<ImagePatches>;

export type PromptEncoderDeps = {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly tokens: SpecialTokens;
  readonly loadImage: LoadImage;
  /** Absent: videos are refused. */
  readonly loadVideo?: LoadVideo;
  /** Absent: PDFs are refused. */
  readonly readPdf?: ReadPdf;
  /** The most tokens that prompt and answer can have together. */
  readonly contextLength: number;
};

/** A piece of a prompt: ids of text and template, or the place of the next picture or video. */
type PromptPiece = { readonly type: "ids"; readonly ids: readonly number[] } | { readonly type: "image" | "video" };

type Visual = { readonly type: "image" | "video"; readonly patches: ImagePatches };

/**
 * Throws RequestError when the prompt is too long (`context_length_exceeded`), when a picture, video or document is at fault, or when the
 * conversation has too many items or the template rejects it. When `signal` aborts, pictures that still wait are not decoded.
 */
export async function encodePrompt(given: Chat, deps: PromptEncoderDeps, signal = new AbortController().signal): Promise<EncodedPrompt> {
  const { tokenizer, template, tokens, contextLength } = deps;
  refuseManyItems(given); // before any is rendered
  const pixelBudget = createPixelBudget();
  const chat = await expandDocuments(orderResults(given), { readPdf: deps.readPdf, pixelBudget, signal });
  const segments = template.render(chat);
  const textLength = segments.reduce((sum, segment) => sum + ("text" in segment ? segment.text.length : 0), 0);
  refuseLongPrompt({ text: tokenizer.minTokenCount(textLength), isLowerBound: true }, contextLength); // before any text is tokenized
  const pieces = tokenizePieces(segments, tokenizer);
  const textTokenCount = pieces.reduce((sum, piece) => sum + (piece.type === "ids" ? piece.ids.length : 0), 0);
  refuseLongPrompt({ text: textTokenCount }, contextLength); // before any picture is decoded
  const visuals = await loadVisuals(chat, deps, { textTokenCount, pixelBudget, signal });
  const visualTokenCount = visuals.reduce((sum, { patches }) => sum + spanLength(patches), 0);

  const { tokenIds, spans, runs } = layOut(pieces, visuals, tokens, textTokenCount + visualTokenCount);
  const { positions, positionDelta } = assignPositions(runs);
  return { tokenIds, positions, positionDelta, visionExpert: markVisionExperts(tokenIds, tokens), spans };
}

/** The limit on tokens does not bound the number of items: an empty part has no token, and neighbours share one. */
function refuseManyItems({ messages }: Chat): void {
  const count = messages.reduce((sum, { content, toolCalls = [] }) => sum + 1 + content.length + toolCalls.length, 0);
  if (count <= maxConversationItems) return;
  const message = `messages: expected at most ${maxConversationItems} messages, parts and tool calls together, got ${count}; shorten the conversation`;
  throw new RequestError(message, { code: "invalid_value", param: "messages" });
}

function tokenizePieces(segments: readonly PromptSegment[], tokenizer: Tokenizer): PromptPiece[] {
  const pieces: PromptPiece[] = [];
  let texts: PromptText[] = [];
  const flush = () => {
    if (texts.length > 0) pieces.push({ type: "ids", ids: tokenizer.encode(texts) });
    texts = [];
  };
  for (const segment of segments) {
    if ("text" in segment) {
      texts.push({ text: segment.text, isTrusted: segment.type === "control" });
      continue;
    }
    flush();
    pieces.push(segment);
  }
  flush();
  return pieces;
}

type TokenCounts = { readonly text: number; readonly visuals?: number; readonly isLowerBound?: boolean };

/** Claude Code shortens a conversation when it reads "prompt is too long" in an error. */
export function refuseLongPrompt(
  { text, visuals = 0, isLowerBound = false }: TokenCounts,
  contextLength: number,
  param = "messages",
): void {
  if (text + visuals < contextLength) return;
  const tokens = `${isLowerBound ? "at least " : ""}${text + visuals} tokens${visuals > 0 ? ` (${visuals} of them for images and videos)` : ""}`;
  throw new RequestError(
    `the prompt is too long: it has ${tokens}, and the context of ${contextLength} tokens has room for ${contextLength - 1} and an answer; ` +
      `shorten the ${param === "messages" ? "conversation" : "prompt"}${visuals > 0 ? ", send fewer or smaller images, or fewer frames," : ""} or start the server with a larger --max-model-len`,
    { code: "context_length_exceeded", param },
  );
}

type VisualsRequest = { readonly textTokenCount: number; readonly pixelBudget: PixelBudget; readonly signal: AbortSignal };

/** Files of one request that load at the same time. A long PDF leaves room for other requests. */
const concurrentLoads = 4;

/**
 * Loads pictures and videos, a few at a time, and returns them in the order of the conversation. The first one that fails or does not fit into the
 * context ends the decoding of the others.
 */
async function loadVisuals(
  chat: ShownChat,
  deps: PromptEncoderDeps,
  { textTokenCount, pixelBudget, signal }: VisualsRequest,
): Promise<Visual[]> {
  const parts = chat.messages.flatMap(({ content }) => content.filter(isVisual));
  const abort = new LinkedAbort(signal);
  setMaxListeners(0, abort.signal); // one listener for each waiting picture
  const request = { maxTokens: deps.contextLength - textTokenCount - 1, pixelBudget, signal: abort.signal };
  const gate = new WorkGate(concurrentLoads, Infinity);
  let [count, tokens] = [0, 0];
  const load = async (part: ImagePart | VideoPart): Promise<Visual> => {
    const patches = await gate.run(() => loadVisual(part, deps, request), abort.signal);
    tokens += spanLength(patches);
    refuseLongPrompt({ text: textTokenCount, visuals: tokens, isLowerBound: ++count < parts.length }, deps.contextLength);
    return { type: part.type, patches };
  };
  try {
    return await Promise.all(parts.map(load));
  } catch (error) {
    abort.abort(error);
    throw error;
  } finally {
    abort.unlink();
  }
}

function isVisual(part: ShownPart): part is ImagePart | VideoPart {
  return part.type !== "text";
}

function loadVisual(part: ImagePart | VideoPart, deps: PromptEncoderDeps, request: VideoRequest): Promise<ImagePatches> {
  const { param } = part;
  if (part.type === "image") {
    const { bytes, page, maxPixels } = part;
    return deps.loadImage(bytes, { page, maxPixels, pixelBudget: request.pixelBudget, param }, request.signal);
  }
  if (deps.loadVideo) return deps.loadVideo(part, request);
  throw new RequestError(`${param}: this server does not support videos; leave them out`, { code: "unsupported_parameter", param });
}

/** Fills the places of the prompt. A template may move pictures past videos, but may not reorder the pictures or the videos. */
function layOut(pieces: readonly PromptPiece[], visuals: readonly Visual[], tokens: SpecialTokens, tokenCount: number) {
  const tokenIds = new Int32Array(tokenCount);
  const spans: VisionSpan[] = [];
  const runs: PromptRun[] = [];
  const waiting = { image: visuals.filter(({ type }) => type === "image"), video: visuals.filter(({ type }) => type === "video") };
  let start = 0;
  for (const piece of pieces) {
    if (piece.type === "ids") {
      tokenIds.set(piece.ids, start);
      runs.push({ type: "text", length: piece.ids.length });
      start += piece.ids.length;
      continue;
    }
    const image = waiting[piece.type].shift()?.patches;
    assert(image, `no ${piece.type} for a place of the prompt`);
    const { frameCount, patchRows, patchColumns } = image;
    const length = spanLength(image);
    tokenIds.fill(tokens[piece.type], start, start + length);
    spans.push({ start, length, image });
    runs.push({ type: "vision", frameCount, patchRows, patchColumns });
    start += length;
  }
  return { tokenIds, spans, runs };
}

/** Only the template and pictures can produce these ids, so the ids alone decide (model spec, 3.5). */
function markVisionExperts(tokenIds: Int32Array, tokens: SpecialTokens): Uint8Array {
  const visionIds = visionTokenIds(tokens);
  return Uint8Array.from(tokenIds, (id) => (visionIds.has(id) ? 1 : 0));
}

/** Ids of the tokens that go to the vision experts: placeholders and their delimiters. */
export function visionTokenIds({ image, video, imageStart, imageEnd, videoStart, videoEnd }: SpecialTokens): ReadonlySet<number> {
  return new Set([image, video, imageStart, imageEnd, videoStart, videoEnd]);
}
