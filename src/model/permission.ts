// Which tokens of a draw may come.

import type { TokenDraw } from "../core/batch.ts";

export type Permission = {
  readonly mayCome: (tokenId: number) => boolean;
  /** At least as many as there are tokens that may come. */
  readonly count: number;
};

/** Undefined: all may come. Banned tokens come when no other may: an answer that must end ends. */
export function findPermission({ allowed, bannedIds = [] }: TokenDraw, vocabSize: number): Permission | undefined {
  if (allowed) return permitByMask(bannedIds.length === 0 ? allowed : without(allowed, bannedIds));
  if (bannedIds.length === 0) return undefined;
  return { mayCome: (id) => !bannedIds.includes(id), count: vocabSize };
}

function permitByMask(mask: Uint32Array): Permission {
  return { mayCome: (id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1, count: mask.reduce((sum, word) => sum + bitCount(word), 0) };
}

function without(allowed: Uint32Array, bannedIds: readonly number[]): Uint32Array {
  const mask = allowed.slice();
  for (const id of bannedIds) mask[id >>> 5]! &= ~(1 << (id & 31));
  return mask.some((word) => word !== 0) ? mask : allowed;
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
