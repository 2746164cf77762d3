// Stores conversations in this browser (IndexedDB) and nowhere else.

import { type AnswerTurn, type Conversation, type ConversationSummary, mergeConversations } from "../chat/conversation.ts";
import { ConversationRecords, openDatabase, storeNames, toSummary } from "./conversation-records.ts";

/** A message between the tabs of one browser about the conversation with this id. */
export type TabMessage =
  /** It was saved or removed. */
  | { readonly type: "changed"; readonly id: string }
  /** This answer is being written; sent at short intervals until it has ended. */
  | { readonly type: "answer"; readonly id: string; readonly answer: AnswerTurn }
  /** The tab that receives the answer must stop it. */
  | { readonly type: "stop"; readonly id: string };

export type ConversationStore = {
  /** Whether conversations outlive the page. */
  readonly isLasting: boolean;
  /** The latest first. */
  list(): Promise<ConversationSummary[]>;
  load(id: string): Promise<Conversation | undefined>;
  /** Merges with what other tabs saved, unless `isLast`: when the page closes there is no time to read first. */
  save(conversation: Conversation, isLast?: boolean): Promise<void>;
  remove(id: string): Promise<void>;
  /** Sends a message to the other tabs. They hear of saved and removed conversations without it. */
  tell(message: TabMessage): void;
  onMessage(listener: (message: TabMessage) => void): void;
};

/** Keeps conversations while the page is open: for browsers that store nothing, and for tests. */
export function memoryStore(): ConversationStore {
  const kept = new Map<string, Conversation>();
  return {
    isLasting: false,
    list: async () => byDate([...kept.values()].map(toSummary)),
    load: async (id) => kept.get(id),
    save: async (conversation) => {
      const before = kept.get(conversation.id);
      kept.set(conversation.id, before ? mergeConversations(before, conversation) : conversation);
    },
    remove: async (id) => void kept.delete(id),
    tell: () => undefined,
    onMessage: () => undefined,
  };
}

/** While the browser still clears the site's data, it opens no database. */
const reopenAfterMs = 300;

/** Rejects if the browser allows no database (private windows in some browsers). */
export async function openBrowserStore(): Promise<ConversationStore> {
  const records = new ConversationRecords();
  let opened: Promise<IDBDatabase> | undefined;
  const connect = async (): Promise<IDBDatabase> => {
    const database = await openDatabase();
    // The browser closes it when the user clears the site's data; Safari also does so in the background.
    database.addEventListener("close", () => {
      opened = undefined;
      records.forget();
      reopen(); // before it is needed: a page that closes has no time for it
    });
    return database;
  };
  const reopen = () => setTimeout(() => void open().catch(reopen), reopenAfterMs);
  const open = (): Promise<IDBDatabase> =>
    (opened ??= connect().catch((error: unknown) => {
      opened = undefined;
      throw error;
    }));
  await open();
  const otherTabs = new BroadcastChannel("ernie-vl");
  const tell = (message: TabMessage) => otherTabs.postMessage(message); // oxlint-disable-line unicorn/require-post-message-target-origin -- a window has one, a channel does not
  /** Unfinished saves, with the ids of their conversations. */
  const saving = new Map<IDBTransaction, string>();
  const change = async (id: string, act: (transaction: IDBTransaction) => void): Promise<void> => {
    const transaction = (await open()).transaction(storeNames, "readwrite");
    act(transaction);
    await new Promise<void>((resolve, reject) => {
      transaction.addEventListener("complete", () => resolve());
      transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("the browser kept nothing")));
    });
    tell({ type: "changed", id });
  };
  const reading = async () => (await open()).transaction(storeNames);
  return {
    isLasting: true,
    list: async () => byDate(await records.list(await reading())),
    load: async (id) => records.read(await reading(), id),
    save: (conversation, isLast = false) =>
      change(conversation.id, (transaction) => {
        if (isLast) {
          // They would block this save, and end with the page.
          for (const [earlier, id] of saving) if (id === conversation.id) abandon(earlier);
          records.overwrite(transaction, conversation);
          transaction.commit();
          return;
        }
        saving.set(transaction, conversation.id);
        for (const end of ["complete", "abort"]) transaction.addEventListener(end, () => saving.delete(transaction));
        records.merge(transaction, conversation);
      }),
    remove: (id) => change(id, (transaction) => records.delete(transaction, id)),
    tell,
    onMessage: (listener) => otherTabs.addEventListener("message", ({ data }: MessageEvent<TabMessage>) => listener(data)),
  };
}

function byDate(list: ConversationSummary[]): ConversationSummary[] {
  return list.toSorted((a, b) => b.updatedAt - a.updatedAt);
}

function abandon(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It is being committed, which needs no page.
  }
}
