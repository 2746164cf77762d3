// Answers of a server that are none, in words.

import { describe, expect, test } from "vitest";
import { problemOfResponse } from "../../web/chat/problem.ts";

const respond = (status: number, error: object | string, headers: Record<string, string> = {}) =>
  problemOfResponse(new Response(typeof error === "string" ? error : JSON.stringify({ error }), { status, headers }));

const ofDocument = (code?: string) => ({ message: "x", param: "messages[0].content[0].file.file_data", ...(code && { code }) });

describe("by status and field", () => {
  test.each([
    [401, { message: "x", code: "missing_api_key" }, "key", "This server requires an API key"],
    [401, { message: "x", code: "invalid_api_key" }, "key", "Wrong API key"],
    [429, { message: "the queue is full" }, "busy", "The server is busy"],
    [503, { message: "not ready" }, "starting", "The server is not ready"],
    [413, { message: "too many bytes" }, "refused", "The request is too large"],
    [400, { message: "x", param: "messages[0].content[1].image_url.url" }, "refused", "The picture was rejected"],
    [400, { message: "x", param: "messages[0].content[1].video_url" }, "refused", "The video was rejected"],
    [400, ofDocument(), "refused", "The document was rejected"],
    [400, ofDocument("invalid_file"), "refused", "The document cannot be opened"],
    [400, ofDocument("unsupported_file"), "refused", "The document is not a PDF or text file"],
    [400, ofDocument("file_too_large"), "refused", "The document is too large"],
    [400, ofDocument("too_many_pages"), "refused", "Too many pages"],
    [400, ofDocument("too_many_documents"), "refused", "Too many documents"],
    [400, { message: "x", param: "response_format.json_schema" }, "refused", "The JSON schema was rejected"],
    [400, { message: "x", param: "tools[0].function" }, "refused", "The tools were rejected"],
    [400, { message: "x", param: "messages", code: "context_length_exceeded" }, "refused", "The conversation is too long for the model"],
    [400, { message: "x", param: null }, "refused", "The server rejected the request"],
    [500, { message: "see the log" }, "server", "The server failed"],
    [504, { message: "the answer took too long" }, "server", "The server failed"],
  ])("%i %j", async (status, error, kind, title) => {
    expect(await respond(status, error)).toMatchObject({ kind, title });
  });
});

test.each([502, 503, 504])("a %i of a proxy means that there is no server behind it", async (status) => {
  expect(await respond(status, "<html>Bad gateway</html>")).toMatchObject({ kind: "unreachable" });
});

test.each(["<html>Internal error</html>", "", "{}", '{"error": {}}', "null"])(
  "a body that is no error of ours is not shown: %j",
  async (body) => {
    expect(await respond(500, body)).toMatchObject({
      title: "The server failed",
      detail: "The server gave no reason. Its log may say more.",
    });
  },
);

test.each([
  [{ "retry-after-ms": "1500", "retry-after": "2" }, 1500],
  [{ "retry-after": "2" }, 2000],
  [{ "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT" }, undefined],
  [{}, undefined],
])("with %j, a busy server is to be asked again after %s ms", async (headers, expected) => {
  expect((await respond(429, { message: "full" }, headers as Record<string, string>)).retryAfterMs).toBe(expected);
});
