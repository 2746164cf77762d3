// Prompts that come together and begin alike: what they have in common is computed once, by the one that came first, and copied.

import { minSharedLength } from "./kv-slots.ts";
import { commonPrefixLength } from "./prefix-match.ts";
import type { Sequence } from "./sequence.ts";

/** Which of the sequences that run is to compute the most of this one's prompt, more than its slot has already; undefined where none is worth it. */
export function findLeader(sequence: Sequence, running: readonly Sequence[]): Sequence["awaited"] {
  if (sequence.routing) return undefined; // is told of all tokens that were not there when it came
  const wanted = sequence.reusableContent();
  let best: Sequence["awaited"];
  for (const leader of running.filter(({ status }) => status === "prefilling")) {
    const length = commonPrefixLength(leader.knownContent(), wanted);
    if (length >= (best ? best.length + 1 : sequence.computedLength + minSharedLength)) best = { leader, length };
  }
  return best;
}

/** Whose tokens are computed in the turn of a sequence: as long as it waits for a leader, the leader's. */
export function whoComputes(sequence: Sequence): Sequence {
  let next = sequence;
  while (next.awaited && isComputing(next.awaited)) next = next.awaited.leader; // leaders are older, so there is an end
  return next;
}

/** The leader is not there yet; it may have ended or lost its slot on the way. */
function isComputing({ leader, length }: NonNullable<Sequence["awaited"]>): boolean {
  return leader.status === "prefilling" && leader.computedLength < length;
}
