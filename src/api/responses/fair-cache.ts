// A cache with one limit for all clients, of whom none can push out what others keep while it keeps more itself.

type Entry<Value> = { readonly value: Value; readonly bytes: number };

type Share<Value> = {
  /** The one not used for longest first. */
  readonly entries: Map<string, Entry<Value>>;
  bytes: number;
};

/** `client` stands for an API key; undefined where the server has none. */
export class FairCache<Value> {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  readonly #shares = new Map<string | undefined, Share<Value>>();
  #count = 0;
  #bytes = 0;

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  /** The id must be new. Over a limit, the client that has the most (this one, if others have as much) loses what it has not used for longest. */
  add(client: string | undefined, id: string, value: Value, bytes: number): void {
    const share = this.#shares.get(client) ?? { entries: new Map(), bytes: 0 };
    this.#shares.set(client, share);
    share.entries.set(id, { value, bytes });
    this.#grow(share, 1, bytes);
    while (this.#count > this.#maxCount) this.#evict([client, share], ({ entries }) => entries.size);
    while (this.#bytes > this.#maxBytes) this.#evict([client, share], (other) => other.bytes);
  }

  /** Counts as a use. */
  get(client: string | undefined, id: string): Value | undefined {
    const entries = this.#shares.get(client)?.entries;
    const entry = entries?.get(id);
    if (!entry) return undefined;
    entries!.delete(id);
    entries!.set(id, entry); // the last to leave
    return entry.value;
  }

  /** False when there is no such entry. */
  delete(client: string | undefined, id: string): boolean {
    const share = this.#shares.get(client);
    const entry = share?.entries.get(id);
    if (!entry) return false;
    share!.entries.delete(id);
    this.#grow(share!, -1, -entry.bytes);
    return true;
  }

  #grow(share: Share<Value>, count: number, bytes: number): void {
    share.bytes += bytes;
    this.#count += count;
    this.#bytes += bytes;
  }

  #evict(first: [string | undefined, Share<Value>], amountOf: (share: Share<Value>) => number): void {
    const [client, { entries }] = [...this.#shares].reduce((most, other) => (amountOf(other[1]) > amountOf(most[1]) ? other : most), first);
    const [oldest] = entries.keys();
    this.delete(client, oldest!);
  }
}
