// How many KV slots of which length fit into memory.

import { UserError } from "../core/errors.ts";

export type KvBudgetRequest = {
  /** Memory that the KV cache may take. */
  readonly budgetBytes: number;
  readonly bytesPerToken: number;
  /** Longest context the model was trained for. */
  readonly modelMaxLength: number;
  /** What the operator asked for, if anything. */
  readonly maxModelLength: number | undefined;
  readonly maxSequences: number | undefined;
  /** The cache has another type, so that int8 would be a way out. */
  readonly canBeInt8: boolean;
};

export type KvBudget = { readonly slotCount: number; readonly capacity: number; readonly bytes: number };

/** The most, unless told otherwise. */
export const defaultSequences = 16;
/** Rather than slots shorter than this, fewer of them; unless the operator chose the length. */
const comfortableLength = 32_768;
/** Rather than fewer slots than this, shorter ones. */
const fewestSequences = 4;
/** Nothing shorter unless the operator chose the length: a picture and a question would not fit. */
const shortestLength = 1024;

/**
 * Explicit wishes are taken literally or refused. Otherwise 16 slots of the model's whole context; where memory is short, shorter
 * ones, down to 32,768 tokens, then fewer, down to 4, then still shorter ones, down to 1024 tokens, then fewer.
 */
export function planKvBudget(request: KvBudgetRequest): KvBudget {
  const { budgetBytes, bytesPerToken, modelMaxLength, maxModelLength, maxSequences } = request;
  if (maxModelLength !== undefined && maxModelLength > modelMaxLength) {
    throw new UserError(`--max-model-len is ${maxModelLength}, but this model goes up to ${modelMaxLength}; ask for less`);
  }
  const tokens = Math.floor(budgetBytes / bytesPerToken);
  const lengthOf = (length: number) => maxModelLength ?? Math.min(modelMaxLength, length);
  const slotsOf = (length: number) => Math.max(1, Math.floor(tokens / lengthOf(length)));
  const fewest = Math.min(fewestSequences, slotsOf(shortestLength));
  const slotCount = maxSequences ?? Math.min(defaultSequences, Math.max(fewest, slotsOf(comfortableLength)));
  const capacity = Math.max(lengthOf(shortestLength), Math.min(lengthOf(modelMaxLength), Math.floor(tokens / slotCount)));
  const bytes = slotCount * capacity * bytesPerToken;
  if (bytes > budgetBytes) {
    const lower = `lower --max-num-seqs or --max-model-len${request.canBeInt8 ? ", or use --kv-cache-dtype int8" : ""}`;
    const lengths = [...new Set([shortestLength, comfortableLength].map(lengthOf))].filter((length) => length <= tokens);
    const fits = lengths.map((length) => `${slotsOf(length)} × ${length}`).join(" or ");
    throw new UserError(
      `a KV cache of ${slotCount} × ${capacity} tokens takes ${gibibytes(bytes)} (${(bytesPerToken / 1024).toFixed(1)} KiB a token), ` +
        `there is room for ${gibibytes(budgetBytes)}${fits && `, which is ${fits} tokens`}; ${lower}`,
    );
  }
  return { slotCount, capacity, bytes };
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
