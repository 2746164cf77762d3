// A model for tests of the engine. Its KV cache is a list of numbers that stand for what each token was computed from, and the next
// token is a hash of that list: wrong content, position or order gives another answer than `answerAlone`.

import {
  entriesOf,
  type Batch,
  type BatchEntry,
  type KvPages,
  maxScoredTokens,
  type ModelRunner,
  type PromptScoring,
  type SlotId,
  type StepResult,
} from "../../src/core/batch.ts";
import { EngineError } from "../../src/core/errors.ts";
import type { EncodedPrompt, ImagePatches, VisionSpan } from "../../src/core/prompt.ts";
import { greedy } from "../../src/core/sampling.ts";
import type { EngineRequest } from "../../src/engine/engine-protocol.ts";

/** Id of the token that pictures fill. */
export const imageToken = 1000;
export const endToken = 0;

export type FakeModelOptions = {
  slotCount?: number;
  spareSlotCount?: number;
  decodesOneAnywhere?: boolean;
  slotCapacity?: number;
  /** Memory that the slots share; unless told, each has its own. */
  pages?: KvPages;
  /** Pictures whose features are kept. */
  keptImages?: number;
  /** Steps that the features of a picture take. */
  encodeSteps?: number;
  /** Chooses the next token from what the slot holds. */
  nextToken?: (cells: readonly number[], drawIndex: number) => number;
};

export class FakeModel implements ModelRunner {
  readonly slotCount: number;
  readonly spareSlotCount: number;
  readonly decodesOneAnywhere: boolean;
  readonly slotCapacity: number;
  readonly pages: KvPages;
  /** What was done, one line per call: `encode cat`, `prefill 0[0..5)`, `decode 0 1`, `swap 0 2`, `copy 0 → 1 (40)`, and, of shared memory, `resize 0 2`. */
  readonly log: string[] = [];
  /** The next call of this kind throws. */
  failNext: "step" | "move" | "row" | "resize" | undefined;
  /** Which entry of a step a failing row is, counted modulo their number. */
  rowToFail = 0;
  /** Called in the middle of each step. */
  onStep = (_batch: Batch): void => {};
  readonly #slots: number[][];
  readonly #pageCounts: number[];
  readonly #keptImages: number;
  /** Of a film, two frames. */
  readonly maxPatches = 8;
  /** Tokens of prompts that were computed, each as often as it was. */
  promptTokenCount = 0;
  /** What a prefill had to encode, because its features were not kept. */
  readonly encodedInPrefill: string[] = [];
  /** Hashes of encoded pictures, the latest last. */
  #features: string[] = [];
  /** Steps that pictures have had which need more, the latest last. */
  readonly #begun = new Map<string, number>();
  readonly #encodeSteps: number;
  readonly #nextToken;

  constructor(options: FakeModelOptions = {}) {
    const { slotCount = 4, spareSlotCount = 0, slotCapacity = 64, pages, keptImages = 2, encodeSteps = 1, nextToken = hashToken } = options;
    const allSlots = slotCount + spareSlotCount;
    this.slotCount = slotCount;
    this.spareSlotCount = spareSlotCount;
    this.decodesOneAnywhere = options.decodesOneAnywhere ?? false;
    this.slotCapacity = slotCapacity;
    this.#keptImages = keptImages;
    this.#encodeSteps = encodeSteps;
    this.#nextToken = nextToken;
    this.pages = pages ?? { tokens: slotCapacity, count: allSlots };
    this.#slots = Array.from({ length: allSlots }, () => []);
    this.#pageCounts = Array.from({ length: allSlots }, () => 0);
  }

  step(batch: Batch): StepResult {
    const entries = entriesOf(batch);
    this.log.push(describe(batch));
    if (batch.type === "decode") {
      const isAlone = entries.length === 1 && this.decodesOneAnywhere;
      check(
        entries.length > 0 && entries.every((entry, i) => isDecodeEntry(entry, isAlone ? entry.slot : i)),
        "decode entries are one token each, in slots 0 …",
      );
      check(entries.length <= this.slotCount, "no more sequences than slots are decoded, spare ones not counted");
    }
    check(
      batch.type !== "decode" || entries.every(({ draw, spans }) => draw && spans.length === 0),
      "a decode step computes text, and draws",
    );
    for (const { tokenIds, draw } of entries)
      if (batch.type === "prefill" || draw?.drawIndex === 0) this.promptTokenCount += tokenIds.length;
    this.onStep(batch);
    if (this.failNext === "step") {
      this.failNext = undefined;
      if (batch.type === "encode") this.#begun.delete(batch.image.hash);
      for (const { slot, start } of entries) this.#slots[slot]!.splice(start, Infinity, ...garbage(this.#roomOf(slot) - start));
      throw new Error("the device is on fire");
    }
    if (batch.type === "encode") return { tokenIds: [], isUnfinished: !this.#encode(batch.image.hash) };
    for (const { image } of entries.flatMap(({ spans }) => spans)) {
      if (this.hasFeatures(image)) continue;
      this.encodedInPrefill.push(image.hash);
      this.#remember(image.hash);
    }
    const failing = this.failNext === "row" ? entries[this.rowToFail % entries.length] : undefined;
    if (failing?.draw) this.failNext = undefined;
    const outcomes = entries.map((entry) => this.#outcome(entry, entry === failing));
    const scores = entries[0]?.scoring && this.#score(entries[0], entries[0].scoring);
    return {
      tokenIds: outcomes.map(({ tokenId }) => tokenId),
      postponed: outcomes.map(({ tokenId, error }, i) => entries[i]!.draw !== undefined && tokenId === undefined && !error),
      errors: outcomes.map(({ error }) => error),
      ...(scores && { promptLogprobs: scores.map((logprob) => ({ logprob, rank: 1, top: [] })) }),
    };
  }

  /** Whether the features are complete. Of pictures that are not, the two last ones go on, others begin anew. */
  #encode(hash: string): boolean {
    const steps = (this.#begun.get(hash) ?? 0) + 1;
    this.#begun.delete(hash);
    if (steps === this.#encodeSteps) this.#remember(hash);
    else this.#begun.set(hash, steps);
    const [oldest] = this.#begun.keys();
    if (this.#begun.size > 2) this.#begun.delete(oldest!);
    return steps === this.#encodeSteps;
  }

  #remember(hash: string): void {
    this.#features = this.#keptImages === 0 ? [] : [...this.#features, hash].slice(-this.#keptImages);
  }

  #score({ slot, start, tokenIds }: BatchEntry, { nextIds }: PromptScoring): number[] {
    check(tokenIds.length <= maxScoredTokens && nextIds.length <= tokenIds.length, "so many tokens are scored at a time");
    return Array.from(nextIds, (next, i) => scoreOf(this.#cells(slot, start + i + 1), next));
  }

  /** A failing row may have had numbers that are not finite for a while: its whole slot is garbage. */
  #outcome(entry: BatchEntry, isFailing: boolean): { tokenId?: number | undefined; error?: EngineError } {
    try {
      const tokenId = this.#compute(entry);
      if (!isFailing || !entry.draw) return { tokenId };
      const cells = this.#slots[entry.slot]!;
      cells.splice(0, Infinity, ...garbage(cells.length));
      return { error: new EngineError("the logits are not finite") };
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      return { error };
    }
  }

  hasFeatures(image: ImagePatches): boolean {
    return this.#features.includes(image.hash);
  }

  swapSlots(a: SlotId, lengthA: number, b: SlotId, lengthB: number): void {
    this.log.push(`swap ${a} ${b}`);
    check(a !== b, "a slot is exchanged with another");
    const [cellsA, cellsB] = [this.#cells(a, lengthA), this.#cells(b, lengthB)];
    this.#failMove(a, b);
    this.#slots[a] = cellsB;
    this.#slots[b] = cellsA;
    [this.#pageCounts[a], this.#pageCounts[b]] = [this.#pageCounts[b]!, this.#pageCounts[a]!];
  }

  copySlot(from: SlotId, to: SlotId, length: number): void {
    this.log.push(`copy ${from} → ${to} (${length})`);
    check(from !== to, "a slot is copied to another");
    this.#failMove(from, to);
    this.#slots[to] = this.#cells(from, length);
    this.#checkMemory(to);
  }

  resizeSlot(slot: SlotId, pageCount: number): void {
    if (this.pages.tokens < this.slotCapacity) this.log.push(`resize ${slot} ${pageCount}`);
    if (this.failNext === "resize") {
      this.failNext = undefined;
      throw new Error("the memory is on fire");
    }
    this.#pageCounts[slot] = pageCount;
    this.#slots[slot]!.splice(pageCount * this.pages.tokens);
    check(pageCount * this.pages.tokens < this.slotCapacity + this.pages.tokens, "no slot gets more memory than it can use");
    check(this.#pageCounts.reduce((sum, count) => sum + count, 0) <= this.pages.count, "slots get no more memory than there is");
  }

  #checkMemory(slot: SlotId): void {
    check(this.#slots[slot]!.length <= this.#pageCounts[slot]! * this.pages.tokens, `slot ${slot} has memory for what it holds`);
  }

  #failMove(a: SlotId, b: SlotId): void {
    if (this.failNext !== "move") return;
    this.failNext = undefined;
    for (const slot of [a, b]) this.#slots[slot] = garbage(this.#roomOf(slot));
    throw new Error("the copy engine is on fire");
  }

  #roomOf(slot: SlotId): number {
    return Math.min(this.slotCapacity, this.#pageCounts[slot]! * this.pages.tokens);
  }

  #cells(slot: SlotId, length: number): number[] {
    check(slot < this.#slots.length, `slot ${slot} exists`);
    check(length <= this.#slots[slot]!.length, `slot ${slot} holds ${length} tokens`);
    return this.#slots[slot]!.slice(0, length);
  }

  #compute(entry: BatchEntry): number | undefined {
    const { slot, start, tokenIds, draw } = entry;
    const cells = [...this.#cells(slot, start), ...cellsOf(entry)];
    check(tokenIds.length > 0 && cells.length <= this.slotCapacity, "a step computes at least one token and stays within the slot");
    this.#slots[slot] = cells;
    this.#checkMemory(slot);
    if (!draw) return undefined;
    const tokenId = this.#nextToken(cells, draw.drawIndex);
    if (!draw.mask) return tokenId;
    const mask = draw.mask(0);
    return !mask || isAllowed(mask, tokenId) ? mask && tokenId : lowestAllowed(mask);
  }
}

/** For `runEngineLoop` where no request has a constraint. */
export function noConstraint(): never {
  throw new Error("no request was to have a constraint");
}

function isAllowed(mask: Uint32Array, tokenId: number): boolean {
  return ((mask[tokenId >>> 5]! >>> (tokenId & 31)) & 1) === 1;
}

function lowestAllowed(mask: Uint32Array): number {
  return Array.from({ length: 32 * mask.length }, (_, id) => id).find((id) => isAllowed(mask, id))!;
}

function scoreOf(before: readonly number[], tokenId: number): number {
  return -hashToken(before) - tokenId / 1024;
}

/** What the tokens of a prompt score, from the second on. */
export function scoresAlone({ prompt }: EngineRequest): number[] {
  const { tokenIds, positions, visionExpert, spans } = prompt;
  const cells = cellsOf({ start: 0, tokenIds, positions, visionExpert, spans });
  return Array.from(tokenIds.subarray(1), (tokenId, i) => scoreOf(cells.slice(0, i + 1), tokenId));
}

/** The answer to a request that has the model for itself, from the definition of the fake model and without any engine. */
export function answerAlone(request: EngineRequest, slotCapacity: number): number[] {
  const { prompt } = request;
  const { tokenIds, positions, visionExpert, spans } = prompt;
  const cells = cellsOf({ start: 0, tokenIds, positions, visionExpert, spans });
  const answer: number[] = [];
  while (answer.length < Math.min(request.maxTokens, slotCapacity - tokenIds.length)) {
    const tokenId = hashToken(cells);
    answer.push(tokenId);
    if (request.stopTokenIds.includes(tokenId)) break;
    const position = cells.length + prompt.positionDelta;
    cells.push(cell([tokenId, position, position, position, 0, 0, 0]));
  }
  return answer;
}

/** A request with text ids and, where a string stands, a picture of three tokens with that hash. */
export function makeRequest(content: readonly (number | string)[], options: Partial<Omit<EngineRequest, "prompt">> = {}): EngineRequest {
  return { prompt: makePrompt(content), sampling: greedy, maxTokens: 4, stopTokenIds: [], ...options };
}

export function makePrompt(content: readonly (number | string)[]): EncodedPrompt {
  // Plain loops: the simulations make hundreds of thousands of prompts.
  const length = content.reduce<number>((sum, part) => sum + (typeof part === "string" ? 3 : 1), 0);
  const tokenIds = new Int32Array(length);
  const positions = new Int32Array(3 * length);
  const visionExpert = new Uint8Array(length);
  const spans: VisionSpan[] = [];
  let count = 0;
  for (let position = 0; position < content.length; position++) {
    const part = content[position]!;
    const isPicture = typeof part === "string";
    if (isPicture) spans.push({ start: count, length: 3, image: makeImage(part) });
    for (const end = count + (isPicture ? 3 : 1); count < end; count++) {
      tokenIds[count] = isPicture ? imageToken : part;
      visionExpert[count] = Number(isPicture);
      for (let axis = 0; axis < 3; axis++) positions[axis * length + count] = isPicture ? position + axis : position; // so that positions and indices differ
    }
  }
  return { tokenIds, positions, positionDelta: -2 * spans.length, visionExpert, spans };
}

/** A film is a video of six frames, two to a token. */
function makeImage(hash: string): ImagePatches {
  const size = hash.startsWith("film")
    ? { frameCount: 6, patchRows: 2, patchColumns: 2 }
    : { frameCount: 1, patchRows: 2, patchColumns: 6 };
  return { hash, patches: new Uint8Array(0), ...size };
}

function cellsOf({
  start,
  tokenIds,
  positions,
  visionExpert,
  spans,
}: Pick<BatchEntry, "start" | "tokenIds" | "positions" | "visionExpert" | "spans">): number[] {
  const count = tokenIds.length;
  check(positions.length === 3 * count && visionExpert.length === count, "every token has three positions and an expert bank");
  check(
    spans.every((span) => span.start < start + count && span.start + span.length > start),
    "only spans of the range are given",
  );
  return [...tokenIds].map((tokenId, i) => {
    const span = spans.find((span) => span.start <= start + i && start + i < span.start + span.length);
    check((tokenId === imageToken) === (span !== undefined), `token ${start + i} has a span if it belongs to a picture`);
    const picture = span ? [hashText(span.image.hash.split(" frames ")[0]!), framesBefore(span) / 2 + start + i - span.start] : [0, 0];
    return cell([tokenId, positions[i]!, positions[count + i]!, positions[2 * count + i]!, visionExpert[i]!, ...picture]);
  });
}

/** Of the film that this is a piece of. */
function framesBefore({ image }: VisionSpan): number {
  return Number(/ frames (\d+) to/.exec(image.hash)?.[1] ?? 0);
}

/** One number for all that a token's keys and values depend on, but for the tokens before it. */
function cell(parts: readonly number[]): number {
  return parts.reduce(mix, 7);
}

function hashToken(cells: readonly number[]): number {
  return cells.reduce(mix, 1) % 50;
}

function hashText(text: string): number {
  return [...text].reduce((hash, character) => mix(hash, character.codePointAt(0)!), 3);
}

function mix(hash: number, value: number): number {
  return (Math.imul(hash ^ value, 0x9e3779b1) ^ (hash >>> 15)) >>> 0;
}

function garbage(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 4_000_000_000 + i);
}

function describe(batch: Batch): string {
  if (batch.type === "encode") return `encode ${batch.image.hash}`;
  if (batch.type === "decode") return `decode ${batch.entries.map(({ slot }) => slot).join(" ")}`;
  const { slot, start, tokenIds } = batch.entry;
  return `prefill ${slot}[${start}..${start + tokenIds.length})`;
}

function isDecodeEntry({ slot, tokenIds }: BatchEntry, index: number): boolean {
  return Number(slot) === index && tokenIds.length === 1;
}

function check(condition: boolean, promise: string): void {
  if (!condition) throw new Error(`broken promise to the model: ${promise}`);
}
