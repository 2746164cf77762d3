// What this program takes from a SentencePiece model file: BPE with byte fallback. Anything else is refused, never guessed.

import { readFileSync } from "node:fs";
import { UserError } from "../core/errors.ts";
import { Charsmap } from "./charsmap.ts";
import { type ProtoField, readFields } from "./protobuf.ts";
import { createNormalizer } from "./sentencepiece-normalizer.ts";
import { isControlText, type Merge, type TokenizerData } from "./tokenizer-data.ts";

/** Numbers of the messages, fields and values in `sentencepiece_model.proto`. */
const modelField = { piece: 1, trainer: 2, normalizer: 3, denormalizer: 5 };
const pieceField = { text: 1, score: 2, kind: 3 };
const trainerField = { modelType: 3, byteFallback: 35 };
const normalizerField = { charsmap: 2, removesExtraSpaces: 4, escapesSpaces: 5 };
const pieceKind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };
const modelTypes: Readonly<Record<number, string>> = { 1: "unigram", 2: "BPE", 3: "word", 4: "character" };

/** Longer ones would make the search for merges slow; real ones have at most a few dozen. */
const maxPieceLength = 1024;

type Piece = { readonly text: string; readonly score: number; readonly kind: number };

/** What the file says, with the defaults of the format. */
class Model {
  readonly pieces: Piece[] = []; // by id
  modelType = 1;
  hasByteFallback = false;
  charsmap: Charsmap | undefined;
  removesExtraSpaces = true;
  escapesSpaces = true;
  rewritesAnswers = false;
}

/** Undefined when there is no such file. Throws UserError when it is broken or of an unsupported kind. */
export function readSentencePieceModel(path: string): TokenizerData | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new UserError(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  let model: Model;
  try {
    model = decodeModel(bytes);
  } catch (error) {
    const reason = (error as Error).message;
    throw new UserError(`${path} is not a SentencePiece model: ${reason}; copy it again from the checkpoint`, { cause: error });
  }
  refuseUnsupported(path, model);
  return toTokenizerData(path, model);
}

function decodeModel(bytes: Uint8Array): Model {
  const model = new Model();
  for (const field of readFields(bytes)) {
    if (field.number === modelField.piece) model.pieces.push(decodePiece(bytesOf(field)));
    else if (field.number === modelField.trainer) decodeTrainer(bytesOf(field), model);
    else if (field.number === modelField.normalizer) decodeNormalizer(bytesOf(field), model);
    else if (field.number === modelField.denormalizer) {
      for (const { number } of readFields(bytesOf(field))) if (number === normalizerField.charsmap) model.rewritesAnswers = true;
    }
  }
  if (model.pieces.length === 0) throw new Error("it has no pieces");
  return model;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodePiece(bytes: Uint8Array): Piece {
  let text = "";
  let score = 0;
  let kind = pieceKind.normal;
  for (const field of readFields(bytes)) {
    if (field.number === pieceField.text) text = utf8.decode(bytesOf(field));
    else if (field.number === pieceField.score) score = Buffer.from(bytesOf(field, "fixed32")).readFloatLE();
    else if (field.number === pieceField.kind) kind = numberOf(field);
  }
  if (text === "" || text.length > maxPieceLength) throw new Error(`a piece has ${text.length} characters`);
  if (!Number.isFinite(score)) throw new Error(`the score of ${JSON.stringify(text)} is ${score}`);
  return { text, score, kind };
}

function decodeTrainer(bytes: Uint8Array, model: Model): void {
  for (const field of readFields(bytes)) {
    if (field.number === trainerField.modelType) model.modelType = numberOf(field);
    else if (field.number === trainerField.byteFallback) model.hasByteFallback = numberOf(field) !== 0;
  }
}

function decodeNormalizer(bytes: Uint8Array, model: Model): void {
  for (const field of readFields(bytes)) {
    if (field.number === normalizerField.charsmap) {
      const compiled = bytesOf(field);
      model.charsmap = compiled.length > 0 ? new Charsmap(compiled) : undefined;
    } else if (field.number === normalizerField.removesExtraSpaces) model.removesExtraSpaces = numberOf(field) !== 0;
    else if (field.number === normalizerField.escapesSpaces) model.escapesSpaces = numberOf(field) !== 0;
  }
}

function bytesOf(field: ProtoField, kind: ProtoField["kind"] = "bytes"): Uint8Array {
  if (field.kind === kind && field.kind !== "varint") return field.bytes;
  throw new Error(`field ${field.number} is a ${field.kind}, expected ${kind}`);
}

function numberOf(field: ProtoField): number {
  if (field.kind === "varint") return field.value;
  throw new Error(`field ${field.number} is a ${field.kind}, expected varint`);
}

function refuseUnsupported(path: string, model: Model): void {
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
    if (kind > pieceKind.byte) refuse("pieces of the known kinds 1 to 6", `kind ${kind} for piece ${id}`);
    if (ids.has(text)) refuse("every piece once", `${JSON.stringify(text)} as pieces ${ids.get(text)} and ${id}`);
    ids.set(text, id);
  });
}

function toTokenizerData(path: string, { pieces, charsmap, removesExtraSpaces }: Model): TokenizerData {
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
 * SentencePiece has no list of merges: any two neighbours join that spell a piece together, the best score first. So all ways to
 * split a piece share one rank. A part of one character need not be a piece.
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
