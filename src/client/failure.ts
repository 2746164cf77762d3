// Why a request failed, as a kind to group by and a message to show.

import { TimeoutError } from "./connection.ts";

export type RequestFailure = {
  /** What failures are grouped by, such as `HTTP 429 rate_limit_exceeded`, `timeout`, `ECONNREFUSED`. */
  readonly kind: string;
  readonly message: string;
};

/** Reads an error body in the form of OpenAI, vLLM or FastAPI; any other text is quoted. */
export function toFailure(prefix: string, body: unknown): RequestFailure {
  const { error, message, detail } = (typeof body === "object" && body !== null ? body : { message: body }) as Record<string, unknown>;
  const inner = (typeof error === "object" && error !== null ? error : { message: error ?? message ?? detail }) as Record<string, unknown>;
  const code = inner["code"] ?? inner["type"];
  const text = inner["message"] ?? "";
  return {
    kind: typeof code === "string" ? `${prefix} ${code.slice(0, 100)}` : prefix,
    message: (typeof text === "string" ? text : JSON.stringify(text)).slice(0, 300),
  };
}

/** Describes the error that a connection rejected with. */
export function toConnectionFailure(error: unknown): RequestFailure {
  if (error instanceof TimeoutError) return { kind: "timeout", message: error.message };
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ECONNRESET") return { kind: "broken stream", message: "the server closed the connection before the answer was complete" };
  return { kind: code ?? "connection", message };
}

export type FailureGroup = { readonly kind: string; readonly count: number; readonly example: string };

/** Counts failures by kind and keeps the first message of each. */
export class FailureGroups {
  readonly #groups = new Map<string, { kind: string; count: number; example: string }>();

  add({ kind, message }: RequestFailure): void {
    const group = this.#groups.get(kind);
    if (group) group.count++;
    else this.#groups.set(kind, { kind, count: 1, example: message });
  }

  /** The most frequent first. */
  list(): FailureGroup[] {
    return [...this.#groups.values()].toSorted((a, b) => b.count - a.count);
  }
}
