// Where conversations are kept: in this browser (IndexedDB) and nowhere else.

import type { Conversation, ConversationSummary } from "../chat/conversation.ts";

export type ConversationStore = {
  /** Outlives the page. */
  readonly isLasting: boolean;
  /** The latest first. */
  list(): Promise<ConversationSummary[]>;
  load(id: string): Promise<Conversation | undefined>;
  save(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
  /** Tells of conversations that another tab saved or removed. */
  onChange(listener: (id: string) => void): void;
};

/** For as long as the page is open: where the browser keeps nothing, and in tests. */
export function memoryStore(): ConversationStore {
  const kept = new Map<string, Conversation>();
  return {
    isLasting: false,
    list: async () => byDate([...kept.values()].map(toSummary)),
    load: async (id) => kept.get(id),
    save: async (conversation) => void kept.set(conversation.id, conversation),
    remove: async (id) => void kept.delete(id),
    onChange: () => undefined,
  };
}

const whole = "conversations";
const summaries = "summaries"; // apart, so that the list needs no pictures

/** Rejects when the browser allows no database (private windows of some). */
export async function openBrowserStore(): Promise<ConversationStore> {
  const opening = indexedDB.open("ernie-vl", 1);
  opening.addEventListener("upgradeneeded", () => {
    opening.result.createObjectStore(whole, { keyPath: "id" });
    opening.result.createObjectStore(summaries, { keyPath: "id" });
  });
  const database = await settled(opening);
  const otherTabs = new BroadcastChannel("ernie-vl");
  const change = async (id: string, act: (transaction: IDBTransaction) => void): Promise<void> => {
    const transaction = database.transaction([whole, summaries], "readwrite");
    act(transaction);
    transaction.commit(); // at once: the page may be about to go
    await new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("the browser kept nothing")));
    });
    otherTabs.postMessage(id); // oxlint-disable-line unicorn/require-post-message-target-origin -- a window has one, a channel does not
  };
  return {
    isLasting: true,
    list: async () => byDate((await settled(database.transaction(summaries).objectStore(summaries).getAll())) as ConversationSummary[]),
    load: async (id) => (await settled(database.transaction(whole).objectStore(whole).get(id))) as Conversation | undefined,
    save: (conversation) =>
      change(conversation.id, (transaction) => {
        transaction.objectStore(whole).put(conversation);
        transaction.objectStore(summaries).put(toSummary(conversation));
      }),
    remove: (id) => change(id, (transaction) => [whole, summaries].forEach((name) => transaction.objectStore(name).delete(id))),
    onChange: (listener) => otherTabs.addEventListener("message", ({ data }: MessageEvent<string>) => listener(data)),
  };
}

function toSummary({ id, title, updatedAt }: Conversation): ConversationSummary {
  return { id, title, updatedAt };
}

function byDate(list: ConversationSummary[]): ConversationSummary[] {
  return list.toSorted((a, b) => b.updatedAt - a.updatedAt);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("the browser's database failed")));
  });
}
