// The server's API keys. They may change while it runs.

import { createHash, timingSafeEqual } from "node:crypto";

export type ApiKey = {
  readonly key: string;
  /** Whose it is. Keys of the same name are one client. */
  readonly name?: string;
};

/** Whose a key is. */
export type KeyOwner = {
  /** Tells clients apart, in caches and queues: a SHA-256 in hexadecimal digits, never a key. */
  readonly id: string;
  /** For logs and metrics: the name, or the first 8 digits of the key's SHA-256. */
  readonly label: string;
};

export class ApiKeys {
  #accepted: readonly { readonly hash: Buffer; readonly owner: KeyOwner }[] = [];

  constructor(keys: readonly ApiKey[] = []) {
    this.replace(keys);
  }

  /** Without keys, every request is accepted. */
  get isEmpty(): boolean {
    return this.#accepted.length === 0;
  }

  replace(keys: readonly ApiKey[]): void {
    this.#accepted = keys.map(({ key, name }) => {
      const hash = sha256(key);
      const digits = hash.toString("hex");
      // Keys contain no spaces, so no key has the same text as a name with this beginning.
      const owner =
        name === undefined ? { id: digits, label: digits.slice(0, 8) } : { id: sha256(`name ${name}`).toString("hex"), label: name };
      return { hash, owner };
    });
  }

  /** Takes the same time whatever the key is and whichever key matches: it compares hashes, and all of them. */
  ownerOf(key: string): KeyOwner | undefined {
    const sent = sha256(key);
    let owner: KeyOwner | undefined;
    for (const accepted of this.#accepted) if (timingSafeEqual(sent, accepted.hash)) owner = accepted.owner;
    return owner;
  }
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
