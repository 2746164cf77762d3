// Computes how many KV slots of which length fit into memory, and whether they share it.

import type { KvPages } from "../core/batch.ts";
import { UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";

export type KvBudgetRequest = {
  /** Bytes that the KV cache may take. */
  readonly budgetBytes: number;
  readonly bytesPerToken: number;
  /** Longest context the model was trained for. */
  readonly modelMaxLength: number;
  /** Explicit settings of the operator. */
  readonly maxModelLength: number | undefined;
  readonly maxSequences: number | undefined;
  /** Number of slots by default, if memory suffices. */
  readonly defaultSequences: number;
  /** Most spare slots, which keep prefixes of ended sequences. They take what memory remains, or only addresses if slots share memory. */
  readonly spareSlots: number;
  /** How slots can share memory; undefined if they cannot. */
  readonly sharing: KvSharing | undefined;
  /** Whether an error may advise int8, because the cache has another type. */
  readonly canBeInt8: boolean;
};

export type KvSharing = {
  readonly pageTokens: number;
  /** Most tokens of all slots together that kernels can address. */
  readonly addressableTokens: number;
  /** Whether the system has addresses for this many tokens. */
  readonly canAddress: (tokens: number) => boolean;
};

export type KvBudget = {
  readonly slotCount: number;
  readonly spareSlotCount: number;
  /** Most tokens of a sequence. */
  readonly capacity: number;
  readonly bytes: number;
  /** Memory that the slots share. Absent: each has memory for its capacity. */
  readonly pages?: KvPages;
};

/** The number of slots is reduced before they become shorter than this, unless the operator chose the length. */
const comfortableLength = 32_768;
/** Slots become shorter before there are fewer than this. */
const fewestSequences = 4;
/** With fewer, slots of their own are longer: up to a page is lost, and each sequence takes at least one. */
const fewestPages = 4;
/** The shortest slots, unless the operator chose the length: a picture and a question must fit. */
const shortestLength = 1024;

/** Tokens that there must be memory for in any case. */
export function fewestTokens(modelMaxLength: number, maxModelLength = modelMaxLength): number {
  return Math.min(shortestLength, maxModelLength, modelMaxLength);
}

/** Plans the slots. Explicit settings are taken literally or refused with UserError. Slots that do not all fit in full share memory, if possible. */
export function planKvBudget(request: KvBudgetRequest): KvBudget {
  const { modelMaxLength, maxModelLength } = request;
  if (maxModelLength !== undefined && maxModelLength > modelMaxLength) {
    throw new UserError(`--max-model-len is ${maxModelLength}, but this model supports at most ${modelMaxLength} tokens`);
  }
  return planShared(request) ?? planApart(request);
}

/**
 * Plans slots that share memory: the set or default number, each as long as set or as all of the memory. Undefined if all slots fit without
 * sharing, if a slot would be no longer than a page, so that sharing gains nothing, or if there are too few pages.
 */
function planShared(request: KvBudgetRequest): KvBudget | undefined {
  const { budgetBytes, bytesPerToken, modelMaxLength, maxModelLength, maxSequences, defaultSequences, sharing } = request;
  if (!sharing) return undefined;
  const { pageTokens, addressableTokens, canAddress } = sharing;
  const tokens = Math.floor(budgetBytes / bytesPerToken);
  if ((maxSequences ?? defaultSequences) * (maxModelLength ?? modelMaxLength) <= tokens) return undefined;
  const pageCount = Math.floor(tokens / pageTokens);
  const slotCount = maxSequences ?? Math.min(defaultSequences, pageCount);
  const longest = Math.min(pageCount, Math.floor(addressableTokens / slotCount / pageTokens)) * pageTokens;
  const capacity = maxModelLength ?? Math.min(modelMaxLength, longest);
  const isOnlyWay = maxSequences !== undefined && maxModelLength !== undefined;
  const isEnough = capacity <= longest && slotCount <= pageCount && (pageCount >= fewestPages || isOnlyWay);
  const isUseful = capacity > pageTokens && capacity >= (maxModelLength ?? shortestLength);
  if (!isEnough || !isUseful) return undefined;
  const slotPages = Math.ceil(capacity / pageTokens);
  const spare = Math.min(request.spareSlots, pageCount - slotCount);
  const spareSlotCount = [spare, 0].find((count) => canAddress((slotCount + count) * slotPages * pageTokens));
  if (spareSlotCount === undefined) return undefined;
  const pages = { tokens: pageTokens, count: Math.min(pageCount, (slotCount + spareSlotCount) * slotPages) };
  return { slotCount, spareSlotCount, capacity, bytes: pages.count * pageTokens * bytesPerToken, pages };
}

/**
 * Plans slots with memory of their own. By default: the default number of slots with the model's whole context. If memory is short, slots become
 * shorter, down to 32,768 tokens, then fewer, down to 4, then shorter again, down to 1,024 tokens, then fewer.
 */
function planApart(request: KvBudgetRequest): KvBudget {
  const { budgetBytes, bytesPerToken, modelMaxLength, maxModelLength, maxSequences, defaultSequences } = request;
  const tokens = Math.floor(budgetBytes / bytesPerToken);
  const lengthOf = (length: number) => maxModelLength ?? Math.min(modelMaxLength, length);
  const slotsOf = (length: number) => Math.max(1, Math.floor(tokens / lengthOf(length)));
  const fewest = Math.min(fewestSequences, slotsOf(shortestLength));
  const slotCount = maxSequences ?? Math.min(defaultSequences, Math.max(fewest, slotsOf(comfortableLength)));
  const capacity = Math.max(lengthOf(shortestLength), Math.min(lengthOf(modelMaxLength), Math.floor(tokens / slotCount)));
  const slotBytes = capacity * bytesPerToken;
  const bytes = slotCount * slotBytes;
  if (bytes > budgetBytes) {
    const lower = `lower --max-num-seqs or --max-model-len${request.canBeInt8 ? ", or use --kv-cache-dtype int8" : ""}`;
    const lengths = [...new Set([shortestLength, comfortableLength].map(lengthOf))].filter((length) => length <= tokens);
    const fits = lengths.map((length) => `${slotsOf(length)} × ${length}`).join(" or ");
    throw new UserError(
      `a KV cache of ${slotCount} × ${capacity} tokens needs ${formatBytes(bytes)} (${formatBytes(bytesPerToken)} per token), ` +
        `but only ${formatBytes(budgetBytes)} is available${fits && `, enough for ${fits} tokens`}; ${lower}`,
    );
  }
  const spareSlotCount = Math.min(request.spareSlots, Math.floor(budgetBytes / slotBytes) - slotCount);
  return { slotCount, spareSlotCount, capacity, bytes: bytes + spareSlotCount * slotBytes };
}
