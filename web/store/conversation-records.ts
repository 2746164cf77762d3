// The database: a conversation lies under its id, with empty URLs; each of its files under [its id, the file's id], so that a save writes
// only new files. Earlier versions of the page kept the URLs in the conversation; its next save moves them.

import {
  type Attachment,
  attachmentsOf,
  changeAttachments,
  type Conversation,
  type ConversationSummary,
  mergeConversations,
} from "../chat/conversation.ts";

const whole = "conversations";
const summaries = "summaries"; // separate, so that listing reads little
export const storeNames = [whole, summaries];

export async function openDatabase(): Promise<IDBDatabase> {
  const opening = indexedDB.open("ernie-vl", 1);
  opening.addEventListener("upgradeneeded", () => {
    for (const name of storeNames) opening.result.createObjectStore(name, { keyPath: "id" });
  });
  return settled(opening);
}

type FileKey = [conversationId: string, attachmentId: string];
type FileRecord = { readonly id: FileKey; readonly url: string };

/** The keys of a conversation's files: an array sorts after every string. */
const filesOf = (id: string) => IDBKeyRange.bound([id], [id, []]);

/** What to read and write in a transaction over `storeNames`. */
export class ConversationRecords {
  /** Ids of files that are known to be in the database: the last save of a page has no time to ask. */
  readonly #keptIds = new Set<string>();

  list(transaction: IDBTransaction): Promise<ConversationSummary[]> {
    return settled(transaction.objectStore(summaries).getAll());
  }

  async read(transaction: IDBTransaction, id: string): Promise<Conversation | undefined> {
    const records = transaction.objectStore(whole);
    const reading: IDBRequest<Conversation | undefined> = records.get(id);
    const files: FileRecord[] = await settled(records.getAll(filesOf(id)));
    const urls = new Map(files.map(({ id: [, attachmentId], url }) => [attachmentId, url]));
    for (const attachmentId of urls.keys()) this.#keptIds.add(attachmentId);
    return reading.result && changeAttachments(reading.result, (file) => ({ ...file, url: urls.get(file.id) ?? file.url }));
  }

  /** Puts the conversation, merged with the version in the database, and deletes the files that it no longer has. */
  merge(transaction: IDBTransaction, conversation: Conversation): void {
    const records = transaction.objectStore(whole);
    const reading: IDBRequest<Conversation | undefined> = records.get(conversation.id);
    reading.addEventListener("success", () => {
      // Not before: Chromium takes longer to abort a transaction with several requests than a page has that closes.
      const keys = records.getAllKeys(filesOf(conversation.id));
      keys.addEventListener("success", () => {
        const keptIds = new Set((keys.result as FileKey[]).map(([, attachmentId]) => attachmentId));
        const usedIds = this.#put(transaction, reading.result ? [reading.result, conversation] : [conversation], keptIds);
        for (const id of keptIds) if (!usedIds.has(id)) records.delete([conversation.id, id]);
      });
    });
  }

  /** Puts the conversation without reading anything first. */
  overwrite(transaction: IDBTransaction, conversation: Conversation): void {
    this.#put(transaction, [conversation], this.#keptIds);
  }

  delete(transaction: IDBTransaction, id: string): void {
    for (const key of [id, filesOf(id)]) transaction.objectStore(whole).delete(key);
    transaction.objectStore(summaries).delete(id);
  }

  /** To be called when the database may have been emptied. */
  forget(): void {
    this.#keptIds.clear();
  }

  /** Puts the merged versions, and those of their files that are not kept yet. Returns the ids of all their files. */
  #put(transaction: IDBTransaction, versions: readonly Conversation[], keptIds: ReadonlySet<string>): ReadonlySet<string> {
    const records = transaction.objectStore(whole);
    const merged = versions.map(withoutUrls).reduce(mergeConversations);
    records.put(merged);
    transaction.objectStore(summaries).put(toSummary(merged));
    const usedIds = new Set(filesIn(merged).map(({ id }) => id));
    const files = new Map(versions.flatMap(filesIn).map((file) => [file.id, file]));
    for (const { id, url } of files.values()) {
      if (url !== "" && usedIds.has(id) && !keptIds.has(id)) records.put({ id: [merged.id, id], url } satisfies FileRecord);
    }
    transaction.addEventListener("complete", () => usedIds.forEach((id) => this.#keptIds.add(id)));
    return usedIds;
  }
}

export function toSummary({ id, title, updatedAt }: Conversation): ConversationSummary {
  return { id, title, updatedAt };
}

function filesIn({ turns }: Conversation): readonly Attachment[] {
  return turns.flatMap(attachmentsOf);
}

function withoutUrls(conversation: Conversation): Conversation {
  return changeAttachments(conversation, (file) => ({ ...file, url: "" }));
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error ?? new Error("the browser's database failed")));
  });
}
