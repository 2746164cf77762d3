// Which tokens of a draw may come.

import type { TokenDraw } from "../core/batch.ts";

export type Permission = {
  readonly mayCome: (tokenId: number) => boolean;
  /** Tokens that may come. */
  readonly count: number;
};

/** Undefined: all may come. Banned tokens come when no other may: an answer that must end ends. */
export function findPermission({ allowed, bannedIds = [] }: TokenDraw, vocabSize: number): Permission | undefined {
  if (allowed) {
    const others = permitByMask(without(allowed, bannedIds), vocabSize);
    return others.count > 0 ? others : permitByMask(allowed, vocabSize);
  }
  if (bannedIds.length === 0) return undefined;
  return { mayCome: (id) => !bannedIds.includes(id), count: vocabSize - new Set(bannedIds).size };
}

function permitByMask(mask: Uint32Array, vocabSize: number): Permission {
  const wholeWords = vocabSize >>> 5;
  const lastBits = (1 << (vocabSize & 31)) - 1; // bits beyond the vocabulary mean nothing
  let count = bitCount((mask[wholeWords] ?? 0) & lastBits);
  for (let i = 0; i < wholeWords; i++) count += bitCount(mask[i]!);
  return { mayCome: (id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1, count };
}

function without(allowed: Uint32Array, bannedIds: readonly number[]): Uint32Array {
  if (bannedIds.length === 0) return allowed;
  const mask = allowed.slice();
  for (const id of bannedIds) mask[id >>> 5]! &= ~(1 << (id & 31));
  return mask;
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
