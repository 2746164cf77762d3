// Requests that never reach the app, because they are not valid HTTP, have too long a header, expect something unknown, or do not arrive in time.

import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { toErrorAnswer } from "../api/error-envelope.ts";
import { RequestError } from "../core/errors.ts";
import type { OpenAnswers } from "./open-answers.ts";

export const maxHeaderBytes = 16 * 2 ** 10;

/** `reason`: the parser's own words, which quote nothing of the request. */
type ParserError = Error & { readonly code?: string; readonly reason?: string };

/**
 * Answers them in the form of all other errors, and closes their connections. Bytes behind an unanswered request (its length was wrong, most likely)
 * make its answer the error, as Node would.
 */
export function answerUnparsed(server: Server, answers: OpenAnswers): void {
  server.on("clientError", (error: ParserError, socket: Socket) => {
    const [next] = answers.of(socket);
    if (!socket.writable || next?.headersSent) return void socket.destroy();
    socket.end(toHttp(toRefusal(error)));
    socket.destroySoon();
  });
  server.on("checkExpectation", (_: IncomingMessage, response: ServerResponse) => {
    const { status, body } = toErrorAnswer(unknownExpectation());
    const json = JSON.stringify(body);
    const fields = { connection: "close", "content-type": "application/json", "content-length": Buffer.byteLength(json) };
    response.writeHead(status, fields).end(json);
  });
}

function unknownExpectation(): RequestError {
  const message = "expected 100-continue in the header Expect, or no such header, got something else; leave it out";
  return new RequestError(message, { status: 417, code: "unknown_expectation" });
}

function toRefusal({ code, reason }: ParserError): RequestError {
  if (code === "HPE_HEADER_OVERFLOW") {
    const message = `expected a request header of at most ${maxHeaderBytes} bytes, got more; send fewer or shorter header fields`;
    return new RequestError(message, { status: 431, code: "header_too_large" });
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    const message = "the request did not arrive completely in time; send it again over a faster connection";
    return new RequestError(message, { status: 408, code: "request_too_slow" });
  }
  return new RequestError(`expected a request in HTTP/1.1, got something else${reason === undefined ? "" : ` (${reason})`}`);
}

function toHttp(refusal: RequestError): string {
  const { status, body } = toErrorAnswer(refusal);
  const json = JSON.stringify(body);
  const fields = ["connection: close", "content-type: application/json", `content-length: ${Buffer.byteLength(json)}`];
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...fields, "", json].join("\r\n");
}
