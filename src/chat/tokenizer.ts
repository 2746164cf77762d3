// Text → token ids, and token id → bytes. Text of a client never becomes a control token; only text of the template does.

import { UserError } from "../core/errors.ts";
import { BpeMerger, type Merge } from "./bpe.ts";
import { readTokenizerFile, spaceSign, type TokenizerFile } from "./tokenizer-file.ts";

/** A stretch of a prompt; in trusted ones (written by the template) control tokens are recognised. */
export type PromptText = { readonly text: string; readonly isTrusted: boolean };

const bytePiece = /^<0x([0-9A-F]{2})>$/;
const noBytes = new Uint8Array(0);

/** Reads the tokenizer files of a model folder. Throws UserError when one is missing, broken or of an unsupported kind. */
export function loadTokenizer(folder: string): Tokenizer {
  return new Tokenizer(readTokenizerFile(folder));
}

export class Tokenizer {
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #pieces: string[] = []; // by id
  readonly #byteIds: Int32Array; // [256]
  readonly #merger: BpeMerger;
  readonly #controlIds = new Map<string, number>();
  readonly #plainIds = new Map<string, number>();
  readonly #specialIds: ReadonlySet<number>;
  readonly #controlPattern: RegExp;
  readonly #plainPattern: RegExp;

  constructor(file: TokenizerFile) {
    this.#vocabulary = file.vocabulary;
    for (const [piece, id] of file.vocabulary) this.#pieces[id] = piece;
    for (const { id, content, isControl } of file.addedTokens) {
      this.#pieces[id] = content;
      (isControl ? this.#controlIds : this.#plainIds).set(content, id);
    }
    this.#specialIds = new Set(this.#controlIds.values());
    this.#controlPattern = anyOf(this.#controlIds.keys());
    this.#plainPattern = anyOf(this.#plainIds.keys());
    this.#byteIds = findByteIds(file);
    // A merge that spells a control token or a byte piece would let ordinary text produce it.
    const merges = resolveMerges(file).filter(([, , id]) => !this.#specialIds.has(id) && !bytePiece.test(this.#pieces[id]!));
    this.#merger = new BpeMerger(merges, this.#pieces.length);
  }

  /** Ids of ordinary text: never one of a control token, whatever the text says. */
  encodeText(text: string): number[] {
    return this.encode([{ text, isTrusted: false }]);
  }

  /** Ids of text that the template wrote: control tokens in it are recognised. */
  encodeTemplate(text: string): number[] {
    return this.encode([{ text, isTrusted: true }]);
  }

  /**
   * Ids of a prompt in pieces of different trust. Ordinary text merges across pieces, as if the prompt had been one string;
   * control tokens never form across them.
   */
  encode(texts: readonly PromptText[]): number[] {
    const ids: number[] = [];
    let run = "";
    for (const { text, isTrusted } of texts) {
      let end = 0;
      for (const match of isTrusted ? text.matchAll(this.#controlPattern) : []) {
        this.#encodeRun(run + text.slice(end, match.index), ids);
        ids.push(this.#controlIds.get(match[0])!);
        run = "";
        end = match.index + match[0].length;
      }
      run += text.slice(end);
    }
    this.#encodeRun(run, ids);
    return ids;
  }

  /** What a token adds to an answer; empty for ids that stand for nothing. Characters may span several tokens. */
  tokenBytes(id: number): Uint8Array {
    const piece = this.#pieces[id];
    if (piece === undefined) return noBytes;
    const byte = bytePiece.exec(piece);
    return byte ? Uint8Array.of(parseInt(byte[1]!, 16)) : Buffer.from(piece.replaceAll(spaceSign, " "));
  }

  /** Id of a control token, e.g. `</think>`. */
  controlTokenId(content: string): number | undefined {
    return this.#controlIds.get(content);
  }

  /** True for control tokens: they are not part of the text of an answer. */
  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  #encodeRun(text: string, ids: number[]): void {
    let end = 0;
    for (const match of text.matchAll(this.#plainPattern)) {
      this.#encodeUnbroken(text.slice(end, match.index), ids);
      ids.push(this.#plainIds.get(match[0])!);
      end = match.index + match[0].length;
    }
    this.#encodeUnbroken(text.slice(end), ids);
  }

  #encodeUnbroken(text: string, ids: number[]): void {
    const symbols: number[] = [];
    for (const character of text) {
      const id = this.#vocabulary.get(character === " " ? spaceSign : character);
      if (id !== undefined) symbols.push(id);
      else for (const byte of Buffer.from(character)) symbols.push(this.#byteIds[byte]!);
    }
    this.#merger.merge(Int32Array.from(symbols), ids);
  }
}

/** Matches the longest of the given texts; nothing at all when there are none. */
function anyOf(texts: Iterable<string>): RegExp {
  const longestFirst = [...texts].toSorted((a, b) => b.length - a.length);
  if (longestFirst.length === 0) return /(?!)/g;
  return new RegExp(longestFirst.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "gu");
}

function findByteIds({ path, vocabulary }: TokenizerFile): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    const id = vocabulary.get(piece);
    if (id === undefined) throw new UserError(`${path}: model.vocab: expected all 256 byte pieces, ${piece} is missing`);
    return id;
  });
}

function resolveMerges({ path, vocabulary, merges }: TokenizerFile): Merge[] {
  return merges.map(([left, right], rank) => {
    const ids = [left, right, left + right].map((piece) => vocabulary.get(piece));
    const [leftId, rightId, mergedId] = ids;
    if (leftId === undefined || rightId === undefined || mergedId === undefined) {
      throw new UserError(`${path}: model.merges.${rank}: ${JSON.stringify([left, right])} has a piece that is not in model.vocab`);
    }
    return [leftId, rightId, mergedId];
  });
}
