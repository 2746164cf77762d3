// Files that a request names by URL instead of carrying them.

export type MediaRequest = {
  /** Where the URL stands in the request, for error messages. */
  readonly param: string;
  /** A larger file is refused, as early as its size is known. */
  readonly maxBytes: number;
  /** The client's: when it aborts, so does the reading, with its reason. */
  readonly signal: AbortSignal;
};

export type MediaReader = {
  /**
   * The file behind an `http:`, `https:` or `file:` URL, its content unchecked. Throws RequestError: 400 when the URL is not allowed or
   * nothing can be had from it, 429 when too many downloads wait.
   */
  read(url: string, request: MediaRequest): Promise<Uint8Array>;
};
