// Decodes the message of a SentencePiece model file: the fields that matter here, with the defaults of the format.

import { Charsmap } from "./charsmap.ts";
import { type ProtoField, readFields } from "./protobuf.ts";

/** Numbers of the messages, fields and values in `sentencepiece_model.proto`. */
const modelField = { piece: 1, trainer: 2, normalizer: 3, denormalizer: 5 };
const pieceField = { text: 1, score: 2, kind: 3 };
const trainerField = { modelType: 3, byteFallback: 35 };
const normalizerField = { charsmap: 2, removesExtraSpaces: 4, escapesSpaces: 5 };
export const pieceKind = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** Longer ones would make the search for merges slow; real ones have at most a few dozen. */
const maxPieceLength = 1024;

export type Piece = { readonly text: string; readonly score: number; readonly kind: number };

/** Every field has the format's default until the file says otherwise. */
export class SentencePieceProto {
  readonly pieces: Piece[] = []; // by id
  /** 1 unigram, 2 BPE, 3 word, 4 character. */
  modelType = 1;
  hasByteFallback = false;
  charsmap: Charsmap | undefined;
  removesExtraSpaces = true;
  escapesSpaces = true;
  /** True when a denormalizer has rules of its own for decoding. */
  rewritesAnswers = false;
}

/** Throws Error when the bytes are no such message. */
export function decodeSentencePiece(bytes: Uint8Array): SentencePieceProto {
  const model = new SentencePieceProto();
  for (const field of readFields(bytes)) {
    if (field.number === modelField.piece) model.pieces.push(decodePiece(bytesOf(field)));
    else if (field.number === modelField.trainer) decodeTrainer(bytesOf(field), model);
    else if (field.number === modelField.normalizer) decodeNormalizer(bytesOf(field), model);
    else if (field.number === modelField.denormalizer) decodeDenormalizer(bytesOf(field), model);
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
  if (text === "" || text.length > maxPieceLength)
    throw new Error(`a piece has ${text.length} characters, expected 1 to ${maxPieceLength}`);
  if (!Number.isFinite(score)) throw new Error(`the score of ${JSON.stringify(text)} is ${score}`);
  return { text, score, kind };
}

function decodeTrainer(bytes: Uint8Array, model: SentencePieceProto): void {
  for (const field of readFields(bytes)) {
    if (field.number === trainerField.modelType) model.modelType = numberOf(field);
    else if (field.number === trainerField.byteFallback) model.hasByteFallback = numberOf(field) !== 0;
  }
}

function decodeNormalizer(bytes: Uint8Array, model: SentencePieceProto): void {
  for (const field of readFields(bytes)) {
    if (field.number === normalizerField.charsmap) {
      const compiled = bytesOf(field);
      model.charsmap = compiled.length > 0 ? new Charsmap(compiled) : undefined;
    } else if (field.number === normalizerField.removesExtraSpaces) model.removesExtraSpaces = numberOf(field) !== 0;
    else if (field.number === normalizerField.escapesSpaces) model.escapesSpaces = numberOf(field) !== 0;
  }
}

function decodeDenormalizer(bytes: Uint8Array, model: SentencePieceProto): void {
  for (const field of readFields(bytes)) {
    if (field.number === normalizerField.charsmap && bytesOf(field).length > 0) model.rewritesAnswers = true;
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
