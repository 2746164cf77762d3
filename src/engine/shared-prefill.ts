// Concurrent prompts with a common prefix: the oldest sequence computes it once (the leader), the others copy it.

import { minSharedLength } from "./kv-slots.ts";
import { commonPrefixLength } from "./prefix-match.ts";
import type { Sequence } from "./sequence.ts";

/**
 * Of the older sequences that are still prefilling, the one that will compute the longest prefix of this prompt. Undefined if none computes at least
 * `minSharedLength` tokens more than the slot of this one already has.
 */
export function findLeader(sequence: Sequence, running: readonly Sequence[]): Sequence["awaited"] {
  if (sequence.routing) return undefined; // its client wants the experts of every token that was not in the cache
  const number = sequence.started?.number ?? Infinity;
  const wanted = sequence.reusableContent();
  let best: Sequence["awaited"];
  for (const leader of running.filter(({ status, started }) => status === "prefilling" && started!.number < number)) {
    if (leader.isToBeScored) continue; // it is slower than this one would be
    const length = commonPrefixLength(leader.knownContent(), wanted);
    if (length >= (best ? best.length + 1 : sequence.computedLength + minSharedLength)) best = { leader, length };
  }
  return best;
}

/** The sequence to compute when it is this one's turn: its leader, as long as it waits for one. */
export function whoComputes(sequence: Sequence): Sequence {
  let next = sequence;
  while (next.awaited && isComputing(next.awaited)) next = next.awaited.leader; // ends, because leaders are older
  return next;
}

/** Whether the leader still has to compute some of the prefix. False too if it has ended or lost its slot. */
function isComputing({ leader, length }: NonNullable<Sequence["awaited"]>): boolean {
  return leader.status === "prefilling" && leader.computedLength < length;
}
