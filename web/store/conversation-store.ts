// Where conversations are kept: in this browser (IndexedDB) and nowhere else.

import type { Conversation, ConversationSummary } from "../chat/conversation.ts";

export type ConversationStore = {
  /** The latest first. */
  list(): Promise<ConversationSummary[]>;
  load(id: string): Promise<Conversation | undefined>;
  save(conversation: Conversation): Promise<void>;
  remove(id: string): Promise<void>;
};

/** For as long as the page is open: where the browser keeps nothing, and in tests. */
export function memoryStore(): ConversationStore {
  const kept = new Map<string, Conversation>();
  return {
    list: async () => byDate([...kept.values()].map(toSummary)),
    load: async (id) => kept.get(id),
    save: async (conversation) => void kept.set(conversation.id, conversation),
    remove: async (id) => void kept.delete(id),
  };
}

const whole = "conversations";
const summaries = "summaries"; // apart, so that the list needs no pictures

/** Rejects when the browser allows no database (private windows of some). */
export async function openBrowserStore(indexedDb: IDBFactory): Promise<ConversationStore> {
  const opening = indexedDb.open("ernie-vl", 1);
  opening.addEventListener("upgradeneeded", () => {
    opening.result.createObjectStore(whole, { keyPath: "id" });
    opening.result.createObjectStore(summaries, { keyPath: "id" });
  });
  const database = await settled(opening);
  const change = (act: (transaction: IDBTransaction) => void): Promise<void> => {
    const transaction = database.transaction([whole, summaries], "readwrite");
    act(transaction);
    return new Promise((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("the browser kept nothing")));
    });
  };
  return {
    list: async () => byDate((await settled(database.transaction(summaries).objectStore(summaries).getAll())) as ConversationSummary[]),
    load: async (id) => (await settled(database.transaction(whole).objectStore(whole).get(id))) as Conversation | undefined,
    save: (conversation) =>
      change((transaction) => {
        transaction.objectStore(whole).put(conversation);
        transaction.objectStore(summaries).put(toSummary(conversation));
      }),
    remove: (id) => change((transaction) => [whole, summaries].forEach((name) => transaction.objectStore(name).delete(id))),
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
