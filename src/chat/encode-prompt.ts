// Chat → EncodedPrompt: template, token ids, pictures as placeholders, positions and expert banks.

import type { Chat, ImagePart } from "../core/chat.ts";
import { assert, RequestError } from "../core/errors.ts";
import type { SpecialTokens } from "../core/model-config.ts";
import { type EncodedPrompt, type ImagePatches, spanLength, type VisionSpan } from "../core/prompt.ts";
import type { ImageRequest } from "../vision/load-image.ts";
import { assignPositions, type PromptRun } from "../vision/positions.ts";
import type { PromptSegment } from "./marked-texts.ts";
import type { ChatTemplate } from "./template.ts";
import type { PromptText, Tokenizer } from "./tokenizer.ts";

/** Decodes one picture. Throws RequestError when it is at fault. */
export type LoadImage = (bytes: Uint8Array, request: ImageRequest) => Promise<ImagePatches>;

export type PromptEncoderDeps = {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly tokens: SpecialTokens;
  readonly loadImage: LoadImage;
  /** Tokens that prompt and answer may have together. */
  readonly contextLength: number;
};

/** A prompt in order: ids of text and template, or the number of a picture. */
type PromptPiece = { readonly type: "ids"; readonly ids: readonly number[] } | { readonly type: "image"; readonly index: number };

/** Throws RequestError: `context_length_exceeded`, a picture at fault, or a conversation that the template refuses. */
export async function encodePrompt(chat: Chat, deps: PromptEncoderDeps): Promise<EncodedPrompt> {
  const { tokenizer, template, tokens, contextLength } = deps;
  refuseLongPrompt({ text: chat.messages.length, isLowerBound: true }, contextLength); // each has a token; before any is rendered
  const segments = template.render(chat);
  const textLength = segments.reduce((sum, segment) => sum + (segment.type === "image" ? 0 : segment.text.length), 0);
  refuseLongPrompt({ text: tokenizer.minTokenCount(textLength), isLowerBound: true }, contextLength); // before any text is tokenized
  const pieces = tokenizePieces(segments, tokenizer);
  const textTokenCount = pieces.reduce((sum, piece) => sum + (piece.type === "ids" ? piece.ids.length : 0), 0);
  refuseLongPrompt({ text: textTokenCount }, contextLength); // before any picture is decoded
  const images = await loadImages(chat, deps.loadImage);
  const imageTokenCount = images.reduce((sum, image) => sum + spanLength(image), 0);
  refuseLongPrompt({ text: textTokenCount, images: imageTokenCount }, contextLength);

  const { tokenIds, spans, runs } = layOut(pieces, images, tokens.image, textTokenCount + imageTokenCount);
  const { positions, positionDelta } = assignPositions(runs);
  return { tokenIds, positions, positionDelta, visionExpert: markVisionExperts(tokenIds, tokens), spans };
}

function tokenizePieces(segments: readonly PromptSegment[], tokenizer: Tokenizer): PromptPiece[] {
  const pieces: PromptPiece[] = [];
  let texts: PromptText[] = [];
  const flush = () => {
    if (texts.length > 0) pieces.push({ type: "ids", ids: tokenizer.encode(texts) });
    texts = [];
  };
  for (const segment of segments) {
    if (segment.type === "image") {
      flush();
      pieces.push(segment);
    } else texts.push(...toPromptText(segment));
  }
  flush();
  return pieces;
}

/** None for a picture. */
function toPromptText(segment: PromptSegment): PromptText[] {
  return segment.type === "image" ? [] : [{ text: segment.text, isTrusted: segment.type === "control" }];
}

type TokenCounts = { readonly text: number; readonly images?: number; readonly isLowerBound?: boolean };

function refuseLongPrompt({ text, images = 0, isLowerBound = false }: TokenCounts, contextLength: number): void {
  if (text + images < contextLength) return;
  const tokens = `${isLowerBound ? "at least " : ""}${text + images} tokens${images > 0 ? `, ${images} of them for images` : ""}`;
  throw new RequestError(
    `the prompt has ${tokens}; at most ${contextLength - 1} leave room for an answer in a context of ${contextLength}: ` +
      `shorten the conversation${images > 0 ? ", send fewer or smaller images" : ""} or start the server with a larger --max-model-len`,
    { code: "context_length_exceeded", param: "messages" },
  );
}

/** In the order of the conversation, all at the same time. */
function loadImages(chat: Chat, loadImage: LoadImage): Promise<ImagePatches[]> {
  const parts = chat.messages.flatMap(({ content }) => content.filter((part): part is ImagePart => part.type === "image"));
  return Promise.all(parts.map(({ bytes, maxPixels, param }) => loadImage(bytes, { maxPixels, param })));
}

function layOut(pieces: readonly PromptPiece[], images: readonly ImagePatches[], imageId: number, tokenCount: number) {
  const tokenIds = new Int32Array(tokenCount);
  const spans: VisionSpan[] = [];
  const runs: PromptRun[] = [];
  let start = 0;
  for (const piece of pieces) {
    if (piece.type === "ids") {
      tokenIds.set(piece.ids, start);
      runs.push({ type: "text", length: piece.ids.length });
      start += piece.ids.length;
      continue;
    }
    const image = images[piece.index];
    assert(image, `no picture for image ${piece.index} of the prompt`);
    const length = spanLength(image);
    tokenIds.fill(imageId, start, start + length);
    spans.push({ start, length, image });
    runs.push({ type: "vision", frameCount: image.frameCount, patchRows: image.patchRows, patchColumns: image.patchColumns });
    start += length;
  }
  return { tokenIds, spans, runs };
}

/** Only the template and the pictures yield these ids, so their places say all (model spec, 3.5). */
function markVisionExperts(tokenIds: Int32Array, tokens: SpecialTokens): Uint8Array {
  const { image, video, imageStart, imageEnd, videoStart, videoEnd } = tokens;
  const visionIds = new Set([image, video, imageStart, imageEnd, videoStart, videoEnd]);
  return Uint8Array.from(tokenIds, (id) => (visionIds.has(id) ? 1 : 0));
}
