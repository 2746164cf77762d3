// Keeps any client from holding all slots: a client with nothing running gets a slot from the client that has the most.

import type { Sequence } from "./sequence.ts";

/** Sorts by admission, oldest first. A client's last sequence is then its youngest, which loses the least when it is preempted. */
export function inOrderOfAdmission(sequences: readonly Sequence[]): Sequence[] {
  return sequences.toSorted((a, b) => a.started!.number - b.started!.number);
}

/**
 * The sequence to admit next. Candidates are the preempted ones, then the head of each client's queue, both in the order of their turns. The first
 * whose client has nothing running wins, otherwise the first of all.
 */
export function nextToRun(preempted: readonly Sequence[], queued: readonly Sequence[], running: readonly Sequence[]): Sequence | undefined {
  const waiting = [...preempted, ...queued];
  if (waiting.length < 2) return waiting[0]; // asked in every step
  const served = new Set(running.map(({ clientId }) => clientId));
  return waiting.find(({ clientId }) => !served.has(clientId)) ?? waiting[0];
}

/**
 * The sequences to preempt so that there is room for a waiting one; none if there is room already. Undefined if preempting would not make room, so
 * that nobody is preempted in vain. `hasRoom`: whether there is room beside these sequences.
 */
export function findDonors(
  sequence: Sequence,
  running: readonly Sequence[],
  hasRoom: (running: readonly Sequence[]) => boolean,
): Sequence[] | undefined {
  const donors: Sequence[] = [];
  for (let left = running; !hasRoom(left); left = left.filter((other) => other !== donors.at(-1))) {
    const donor = findDonor(sequence, left);
    if (!donor) return undefined;
    donors.push(donor);
  }
  return donors;
}

/**
 * The next one to preempt: the youngest of the client with the most running, if that client has at least two. Undefined if the waiting sequence's own
 * client has some running. Requests without a client id are never preempted for this.
 */
function findDonor({ clientId }: Sequence, running: readonly Sequence[]): Sequence | undefined {
  const counts = new Map<string, number>();
  for (const other of running) {
    if (other.clientId === clientId) return undefined;
    if (other.clientId !== undefined) counts.set(other.clientId, (counts.get(other.clientId) ?? 0) + 1);
  }
  const most = Math.max(2, ...counts.values());
  return running.findLast((other) => other.clientId !== undefined && counts.get(other.clientId) === most);
}
