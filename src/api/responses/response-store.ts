// Keeps responses by id, in memory and bounded: finished ones, and those still in progress. Each client sees only its own.

import { RequestError } from "../../core/errors.ts";
import { describe } from "../schema-fields.ts";
import type { PlacedItem } from "./conversation.ts";
import { FairCache } from "./fair-cache.ts";
import type { Item, ItemReference } from "./input-items.ts";
import { responseIdOf, type ResponseObject } from "./response-object.ts";

/** Enough for many conversations with pictures, and little compared to a model. */
const maxBytes = 256 * 2 ** 20;

export type StoredResponse = {
  readonly response: ResponseObject;
  /** The items of this request, without those of earlier responses. Each has an id. */
  readonly input: readonly Item[];
};

type ReferredItem = {
  readonly item: Item;
  /** An estimate of the memory it takes. */
  readonly bytes: number;
};

/** `client` stands for an API key; undefined where the server has none. */
export class ResponseStore {
  /** The most responses that are kept; 0: none. */
  readonly capacity: number;
  readonly #kept: FairCache<StoredResponse>;
  /** By id: the items of responses that references have named. */
  readonly #items = new WeakMap<StoredResponse, ReadonlyMap<string, ReferredItem>>();
  readonly #running = new Map<string, () => ResponseObject>();

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#kept = new FairCache(capacity, maxBytes);
  }

  keep(client: string | undefined, stored: StoredResponse): void {
    this.#kept.add(client, stored.response.id, stored, byteLength(stored));
  }

  /** Throws RequestError (404) when there is no such response. `param` is the field that named it. */
  get(client: string | undefined, id: string, param?: string): StoredResponse {
    const stored = this.#kept.get(client, id);
    if (!stored) throw this.#unknown(id, param);
    return stored;
  }

  delete(client: string | undefined, id: string): void {
    if (!this.#kept.delete(client, id)) throw this.#unknown(id);
  }

  /** All items of the conversation up to and including this response. */
  conversation(client: string | undefined, id: string): PlacedItem[] {
    const param = "previous_response_id";
    const chain: StoredResponse[] = [];
    for (let next: string | null = id; next !== null; next = chain.at(-1)!.response.previous_response_id) {
      chain.push(this.get(client, next, param));
    }
    const items = chain.toReversed().flatMap(({ response, input }) => [...input, ...response.output]);
    return items.map((item) => ({ item, param }));
  }

  /** The item that a reference names. */
  item(client: string | undefined, { id }: ItemReference, param: string): ReferredItem {
    const owner = this.get(client, responseIdOf(id) ?? id, `${param}.id`);
    const items = this.#items.get(owner) ?? itemsById(owner);
    this.#items.set(owner, items);
    const found = items.get(id);
    if (!found) throw this.#unknown(id, `${param}.id`);
    return found;
  }

  /** Registers a response in progress, so that it can be cancelled. Returns a function that removes it again. */
  run(client: string | undefined, id: string, cancel: () => ResponseObject): () => void {
    const key = keyOf(client, id);
    this.#running.set(key, cancel);
    return () => this.#running.delete(key);
  }

  /** Cancels a response and returns it as far as it got. Throws RequestError: 404, or 400 when it has already ended. */
  cancel(client: string | undefined, id: string): ResponseObject {
    const cancel = this.#running.get(keyOf(client, id));
    if (cancel) return cancel();
    const { status } = this.get(client, id).response;
    throw new RequestError(`only a response in progress can be cancelled, and this one is ${status}`, { code: "response_not_running" });
  }

  #unknown(id: string, param?: string): RequestError {
    const what = param?.startsWith("input") ? "item" : "response";
    const why =
      this.capacity === 0
        ? "this server stores none; send the whole conversation as input"
        : `the server keeps the last ${this.capacity} in memory, unless "store" is false; if it is gone, send the whole conversation as input`;
    return new RequestError(`${param ? `${param}: ` : ""}there is no ${what} ${describe(id)}; ${why}`, {
      status: 404,
      code: param === "previous_response_id" ? "previous_response_not_found" : `${what}_not_found`,
      param,
    });
  }
}

/** Of several items with the same id, the first. */
function itemsById({ response, input }: StoredResponse): ReadonlyMap<string, ReferredItem> {
  const items = [...input, ...response.output] as Item[];
  return new Map(items.toReversed().map((item) => [item.id!, { item, bytes: sumOfTexts(item) }]));
}

/** Unambiguous, because neither ids nor the hash that stands for a client contain a line break. */
function keyOf(client: string | undefined, id: string): string {
  return `${client ?? ""}\n${id}`;
}

/** An estimate of the memory it takes, most of which is pictures. */
function byteLength({ response, input }: StoredResponse): number {
  return sumOfTexts(response) + sumOfTexts(input);
}

function sumOfTexts(value: unknown): number {
  if (typeof value === "string") return 16 + Buffer.byteLength(value);
  if (typeof value !== "object" || value === null) return 16;
  return Object.values(value).reduce<number>((sum, member) => sum + sumOfTexts(member), 64);
}
