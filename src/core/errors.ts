// The kinds of errors: the client's fault (RequestError), ours (EngineError) and the operator's (UserError).

type RequestErrorOptions = {
  /** HTTP status. Default 400. */
  readonly status?: number | undefined;
  /** Machine-readable reason, e.g. `image_too_large`. */
  readonly code?: string | undefined;
  /** Path of the field at fault, e.g. `messages[0].content[1].image_url`. */
  readonly param?: string | undefined;
  /** With 429 and 503: milliseconds until the client should retry. */
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
};

/** The client's fault: becomes an OpenAI error envelope. The message says what was expected, what was received and what to do. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;
  readonly code: string | undefined;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: RequestErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.status = options.status ?? 400;
    this.code = options.code;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What another thread needs to recreate a RequestError: a structured clone keeps neither the class nor the fields of an error. */
export type Refusal = { readonly message: string; readonly options: Omit<RequestErrorOptions, "cause"> };

export function toRefusal({ message, status, code, param, retryAfterMs }: RequestError): Refusal {
  return { message, options: { status, code, param, retryAfterMs } };
}

/** The server's fault while answering a request: a 500, logged with its cause, never shown in detail to the client. */
export class EngineError extends Error {
  override readonly name = "EngineError";
}

/** The device cannot compute anything any more. Ends the engine. */
export class DeviceLostError extends EngineError {}

/** The operator's fault (wrong folder, flag, version): printed as one line, exit code 1. */
export class UserError extends Error {
  override readonly name = "UserError";
}

export const interruptedExitCode = 130;

/** The operator stopped the program by Ctrl-C or SIGTERM: printed as one line, exit code 130. */
export class InterruptedError extends UserError {}

/** What was thrown, in words: it may come from a library and be anything. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Checks a promise between modules. A failure is a bug of ours. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new EngineError(`internal error: ${message}`);
}
