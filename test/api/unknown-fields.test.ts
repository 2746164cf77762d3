// A field that the server does not know is ignored, and the answer and the log say so.

import { describe, expect, test } from "vitest";
import { messageFields } from "../../src/api/messages/request-schema.ts";
import { chatFields } from "../../src/api/openai-schema.ts";
import { responsesFields } from "../../src/api/responses/request.ts";
import { hints } from "../../src/api/unknown-fields.ts";
import { clientRequests } from "./client-requests.ts";
import { type Field, openAiFields } from "./field-table.ts";
import { chatPath, makeApp, post, userSays } from "./make-app.ts";
import * as messagesTables from "./messages-fields.ts";
import { benchmarkRequests, programRequests } from "./more-client-requests.ts";
import { otherFields } from "./more-fields.ts";
import * as responsesTables from "./responses-fields.ts";

const hi = userSays("Hi", { max_tokens: 5 });

async function tell(body: object, path = chatPath) {
  const { app, lines } = makeApp();
  const answer = await app.request(path, post(body));
  await answer.text();
  return { status: answer.status, told: answer.headers.get("x-unknown-fields"), logged: lines[0]?.fields["unknownFields"] };
}

test.each([
  [chatPath, hi],
  [chatPath, { ...hi, stream: true }],
  ["/v1/completions", { prompt: "Hi" }],
  ["/v1/messages", hi],
  ["/v1/messages/count_tokens", hi],
  ["/v1/responses", { input: "Hi" }],
  ["/v1/responses/input_tokens", { input: "Hi" }],
  ["/tokenize", { prompt: "Hi" }],
  ["/detokenize", { tokens: [1] }],
])("%s tells it: %j", async (path, body) => {
  expect(await tell(body, path)).toEqual({ status: 200, told: null, logged: undefined });
  expect(await tell({ ...body, num_ctx: 2048 }, path)).toEqual({ status: 200, told: "num_ctx", logged: ["num_ctx"] });
});

test.each([
  ["temprature", "temperature"],
  ["temperatures", "temperature"],
  ["temperatrue", "temperature"],
  ["temporature", "temperature"],
  ["maxTokens", "max_tokens"],
  ["top-P", "top_p"],
  ["top_a", undefined], // a field of other servers
  ["temprture", undefined],
  ["constructor", undefined],
  ["", undefined],
])("%j was meant as %s", async (name, meant) => {
  expect((await tell({ ...hi, [name]: 1 })).told).toBe(meant ? `${name} (did you mean ${meant}?)` : name);
});

test("is told with an error too, whose cause it may be", async () => {
  expect(await tell({ message: [] })).toMatchObject({ status: 400, told: "message (did you mean messages?)" });
});

test("only a few are named, in few and harmless characters", async () => {
  const strange = { 'a\r\nset-cookie: b="é"': 1, ["x".repeat(1000)]: 1 };
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`field${index}`, 1]));

  const { status, told } = await tell({ ...hi, ...strange, ...many });

  expect(status).toBe(200);
  expect(told).toBe(`a??set-cookie??b????, ${"x".repeat(40)}, field0, field1, field2, field3, field4, field5, ...`);
});

describe("a field is known", () => {
  const { requestFields: ofMessages, ownFields: moreOfMessages } = messagesTables;
  const { requestFields: ofResponses, ownFields: moreOfResponses } = responsesTables;
  const tables: readonly (readonly [name: string, known: readonly string[], fields: Readonly<Record<string, Field>>])[] = [
    ["chats", chatFields, { ...openAiFields, ...otherFields }],
    ["messages", messageFields, { ...ofMessages, ...moreOfMessages }],
    ["responses", responsesFields, { ...ofResponses, ...moreOfResponses }],
  ];

  test.each(tables)("if it is in the tables of the docs: %s", (_, known, fields) => {
    const sent = Object.values(fields).flatMap((field) => Object.keys(field.sent));
    expect(sent.filter((name) => !known.includes(name) && !hints.includes(name))).toEqual([]);
  });

  test("as a hint only where the docs or a client have it", () => {
    const ignored = tables.flatMap(([, , fields]) => Object.values(fields).filter(({ does }) => does === "ignored"));
    const sent = [...clientRequests, ...benchmarkRequests, ...programRequests].map(([, , body]) => body);
    const names = [...ignored.map((field) => field.sent), ...sent].flatMap(Object.keys);
    expect(hints.filter((hint) => !names.includes(hint))).toEqual([]);
  });
});
