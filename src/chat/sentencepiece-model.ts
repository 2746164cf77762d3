// Reads a SentencePiece model file. Only BPE with byte fallback is supported; anything else is refused, never guessed.

import { existsSync } from "node:fs";
import { UserError } from "../core/errors.ts";
import { readBytes } from "../core/file-system.ts";
import { createNormalizer } from "./sentencepiece-normalizer.ts";
import { decodeSentencePiece, type Piece, pieceKind, type SentencePieceProto } from "./sentencepiece-proto.ts";
import { isControlText, type Merge, type TokenizerData } from "./tokenizer-data.ts";

const modelTypes: Readonly<Record<number, string>> = { 1: "unigram", 2: "BPE", 3: "word", 4: "character" };

/** Undefined when there is no such file. Throws UserError when it is broken or of an unsupported kind. */
export function readSentencePieceModel(path: string): TokenizerData | undefined {
  if (!existsSync(path)) return undefined;
  const bytes = readBytes(path);
  let model: SentencePieceProto;
  try {
    model = decodeSentencePiece(bytes);
  } catch (error) {
    const reason = (error as Error).message;
    throw new UserError(`${path} is not a SentencePiece model: ${reason}; copy it again from the checkpoint`, { cause: error });
  }
  refuseUnsupported(path, model);
  return toTokenizerData(path, model);
}

function refuseUnsupported(path: string, model: SentencePieceProto): void {
  const refuse = (expected: string, got: string): never => {
    throw new UserError(`${path}: expected ${expected}, got ${got}; a tokenizer.json beside it would be used instead`);
  };
  const { modelType, pieces } = model;
  if (modelType !== 2) refuse("a BPE model, the only kind supported", modelTypes[modelType] ?? `type ${modelType}`);
  if (!model.hasByteFallback) refuse("byte fallback", "none: some text would have no tokens");
  if (!model.escapesSpaces) refuse("spaces written as ▁", "escape_whitespaces false");
  if (model.rewritesAnswers) refuse("answers as the pieces spell them", "a denormalizer with rules of its own");
  const ids = new Map<string, number>();
  pieces.forEach(({ text, kind }, id) => {
    if (kind === pieceKind.unused) refuse("pieces that are in use", `piece ${id} ${JSON.stringify(text)} marked unused`);
    if (kind < pieceKind.normal || kind > pieceKind.byte) refuse("pieces of the known kinds 1 to 6", `kind ${kind} for piece ${id}`);
    if (ids.has(text)) refuse("every piece once", `${JSON.stringify(text)} as pieces ${ids.get(text)} and ${id}`);
    ids.set(text, id);
  });
}

function toTokenizerData(path: string, { pieces, charsmap, removesExtraSpaces }: SentencePieceProto): TokenizerData {
  const entries = pieces.map((piece, id) => ({ ...piece, id }));
  const ordinary = entries.filter(({ kind }) => kind === pieceKind.normal || kind === pieceKind.byte);
  const userDefined = entries.filter(({ kind }) => kind === pieceKind.userDefined);
  const frames = entries.filter(({ kind }) => kind === pieceKind.control || kind === pieceKind.unknown);
  const vocabulary = new Map(ordinary.map(({ text, id }) => [text, id]));
  return {
    path,
    vocabulary,
    merges: findMerges(
      ordinary.filter(({ kind }) => kind === pieceKind.normal),
      vocabulary,
    ),
    addedTokens: [
      ...frames.map(({ text, id }) => ({ id, content: text, isControl: true })),
      ...userDefined.map(({ text, id }) => ({ id, content: text, isControl: isControlText(text) })),
    ],
    normalizer: createNormalizer({ charsmap, removesExtraSpaces, fixedTexts: userDefined.map(({ text }) => text) }),
  };
}

/**
 * SentencePiece has no list of merges: any two neighbours that together spell a piece are joined, best score first. So all ways to split a piece
 * share one rank. A part that is a single character need not be a piece.
 */
function findMerges(pieces: readonly Piece[], vocabulary: ReadonlyMap<string, number>): Merge[] {
  const scores = [...new Set(pieces.map(({ score }) => score))].toSorted((a, b) => b - a);
  const ranks = new Map(scores.map((score, rank) => [score, rank]));
  const isSymbol = (text: string) => vocabulary.has(text) || isOneCharacter(text);
  return pieces.flatMap(({ text, score }) => {
    const merges: Merge[] = [];
    for (let end = characterLength(text, 0); end < text.length; end += characterLength(text, end)) {
      const [left, right] = [text.slice(0, end), text.slice(end)];
      if (isSymbol(left) && isSymbol(right)) merges.push({ left, right, rank: ranks.get(score)! });
    }
    return merges;
  });
}

function isOneCharacter(text: string): boolean {
  return text.length === characterLength(text, 0);
}

/** In UTF-16 units. */
function characterLength(text: string, start: number): 1 | 2 {
  return text.codePointAt(start)! > 0xffff ? 2 : 1;
}
