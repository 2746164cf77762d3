// The two families of errors. Client mistakes carry what the OpenAI error envelope needs; operator mistakes are one line on the console.

type RequestErrorOptions = {
  /** HTTP status; 400 unless told. */
  readonly status?: number;
  /** Machine-readable reason, e.g. `image_too_large`. */
  readonly code?: string;
  /** Path of the field at fault, e.g. `messages[0].content[1].image_url`. */
  readonly param?: string;
  /** With 429: when to try again. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
};

/** The client's fault: becomes an OpenAI error envelope. The message says what was expected, what came and what to do. */
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

/** What makes a RequestError again in another thread: a structured clone keeps neither the class nor the fields of an error. */
export type Refusal = { readonly message: string; readonly options: Omit<RequestErrorOptions, "cause"> };

export function toRefusal({ message, status, code, param, retryAfterMs }: RequestError): Refusal {
  const options = {
    status,
    ...(code !== undefined && { code }),
    ...(param !== undefined && { param }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  return { message, options };
}

/** The server's fault while answering a request: a 500, logged with its cause, never shown in detail to the client. */
export class EngineError extends Error {
  override readonly name = "EngineError";
}

/** The device can compute nothing any more, for anybody: ends the engine. */
export class DeviceLostError extends EngineError {}

/** The operator's fault (wrong folder, flag, version): printed as one line, exit code 1. */
export class UserError extends Error {
  override readonly name = "UserError";
}

export const interruptedExitCode = 130;

/** The operator stopped it, by Ctrl-C or SIGTERM: printed as one line, exit code 130. */
export class InterruptedError extends UserError {}

/** States a promise between modules; a failure is a bug of ours. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new EngineError(`internal error: ${message}`);
}
