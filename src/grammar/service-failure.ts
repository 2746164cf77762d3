// Errors of the grammar thread in a form that can be sent to the thread that asked.

import { EngineError, messageOf, type Refusal, RequestError, toRefusal } from "../core/errors.ts";

export type Failure = ({ readonly type: "refused" } & Refusal) | { readonly type: "failed"; readonly message: string };

export function toFailure(error: unknown): Failure {
  if (error instanceof RangeError)
    return { type: "refused", message: "the schema or grammar is nested too deeply; simplify it", options: {} };
  if (!(error instanceof RequestError)) return { type: "failed", message: messageOf(error) };
  return { type: "refused", ...toRefusal(error) };
}

/** Recreates the error, to be thrown. */
export function fromFailure(failure: Failure): RequestError | EngineError {
  if (failure.type === "refused") return new RequestError(failure.message, failure.options);
  return new EngineError(`the grammar service failed: ${failure.message}`);
}
