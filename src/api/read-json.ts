// Reads a request from its body: a JSON object of bounded size. Bytes are counted as they arrive, so a chunked body cannot pass the limit. A server
// that is shutting down does not wait for the rest.

import { setImmediate } from "node:timers/promises";
import type { Context } from "hono";
import { RequestError } from "../core/errors.ts";
import { GrowingBytes } from "../core/growing-bytes.ts";
import { LinkedAbort } from "../core/linked-abort.ts";
import type { RouteOptions } from "./app-options.ts";
import { refuseManyValues } from "./json-size.ts";
import { refuseOtherModel } from "./models.ts";
import type { AppEnv } from "./request-record.ts";
import { tellUnknownFields } from "./unknown-fields.ts";

const retryAfterRestartMs = 5000;

/**
 * The request that `parse` makes of the body; its fields that are not `known` are told to the client. Throws RequestError: 413 when the body is too
 * large, 429 when the bodies of all requests together are, 503 when the server shuts down, 404 when the request names another model, otherwise 400.
 */
export async function readRequest<T extends { readonly model?: string | undefined }>(
  c: Context<AppEnv>,
  options: RouteOptions,
  known: readonly string[],
  parse: (body: object) => T,
): Promise<T> {
  const request = parse(await readJsonObject(c, options.limits.bodyBytes, known));
  refuseOtherModel(request.model, options);
  return request;
}

async function readJsonObject(c: Context<AppEnv>, maxBytes: number, known: readonly string[]): Promise<object> {
  const request = c.req.raw;
  // Browsers send this type to another origin only after a preflight, so no web page can use a server on localhost.
  const contentType = request.headers.get("content-type");
  if (!/^application\/json\s*(;|$)/i.test(contentType ?? "")) {
    throw new RequestError(`expected the header "Content-Type: application/json", got ${JSON.stringify(contentType ?? "none")}`);
  }
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    throw new RequestError(`expected a body without compression, got the header "Content-Encoding: ${encoding.slice(0, 100)}"`);
  }
  const stop = new LinkedAbort(c.get("stopping") ?? new AbortController().signal);
  const hold = (count: number) => c.get("record").holdBody(c.get("cacheSalt"), count);
  const bytes = await readBytes(request, maxBytes, hold, stop).finally(() => stop.unlink());
  await c.get("turns").run(() => setImmediate());
  refuseManyValues(bytes);
  const text = decodeUtf8(bytes);
  if (text.trim() === "") throw new RequestError("expected a JSON object as the body, got an empty body");
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const got = Array.isArray(value) ? "an array" : value === null ? "null" : `a ${typeof value}`;
    throw new RequestError(`expected a JSON object as the body, got ${got}`);
  }
  tellUnknownFields(c, value, known);
  return value;
}

async function readBytes(request: Request, maxBytes: number, hold: (bytes: number) => void, stop: LinkedAbort): Promise<Buffer> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw bodyTooLarge(maxBytes);
  const body = new GrowingBytes();
  if (!request.body) return body.bytes;
  // Never cancelled: that would close the connection before the client has read the error.
  const reader = request.body.getReader();
  try {
    for (;;) {
      const chunk = await stop.race(reader.read());
      if (chunk.done) break;
      if (body.length + chunk.value.length > maxBytes) throw bodyTooLarge(maxBytes);
      hold(chunk.value.length);
      body.add(chunk.value);
    }
  } catch (cause) {
    if (cause instanceof RequestError) throw cause;
    if (stop.signal.aborted) throw tooLate();
    throw cause;
  } finally {
    reader.releaseLock();
  }
  return body.bytes;
}

function tooLate(): RequestError {
  const message = "the server is shutting down before the whole body has arrived; send the request again";
  return new RequestError(message, { status: 503, code: "shutting_down", retryAfterMs: retryAfterRestartMs });
}

function bodyTooLarge(maxBytes: number): RequestError {
  return new RequestError(`expected a body of at most ${maxBytes} bytes, got more; send fewer or smaller pictures`, {
    status: 413,
    code: "request_too_large",
  });
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RequestError("expected a body in UTF-8, got bytes that are not valid UTF-8", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RequestError(`expected a JSON object as the body, got text that is not JSON (${(cause as Error).message})`, { cause });
  }
}
