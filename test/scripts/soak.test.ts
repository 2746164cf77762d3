// The soak's own judgement: what is wrong with an answer is noticed, and a leak is told from memory that comes and goes.

import { describe, expect, test } from "vitest";
import { judge } from "../../scripts/soak/judge.ts";
import type { Answer, AnswerForm } from "../../scripts/soak/read-answer.ts";
import { createRequestMix, type SoakRequest } from "../../scripts/soak/request-mix.ts";
import { growth } from "../../scripts/soak/server-watch.ts";

const makeRequest = (form: AnswerForm, fields: Partial<SoakRequest> = {}): SoakRequest => ({
  kind: "text",
  path: "/",
  contentType: "application/json",
  body: "{}",
  form,
  behaviour: { type: "stays" },
  expectedStatus: undefined,
  check: ({ choices: [choice] }: Answer) => {
    if (choice!.text !== "Hello.") throw new Error(`wrong text: ${choice!.text}`);
  },
  ...fields,
});
const deliver = (body: object | string, status = 200, retryAfterMs?: number) => ({
  status,
  retryAfterMs,
  body: typeof body === "string" ? body : JSON.stringify(body),
});

const usage = { prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 };
const whole = { choices: [{ index: 0, message: { content: "Hello." }, finish_reason: "stop" }], usage };
const piece = (content: string, finish: string | null = null) => ({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const frames = (...events: (object | string)[]) =>
  events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`).join("");
const stream = [piece("Hel"), piece("lo."), piece("", "stop"), { choices: [], usage }, "[DONE]"];
const envelope = { error: { message: "no", type: "invalid_request_error" } };

const [asWhole, asStream] = [false, true].map((isStream) => makeRequest({ api: "chat", stream: isStream }));

describe("an answer is", () => {
  test("right, whole and streamed", () => {
    expect(judge(asWhole!, deliver(whole))).toBe("right");
    expect(judge(asStream!, deliver(frames(...stream)))).toBe("right");
  });

  test("left, refused, or turned away", () => {
    expect(judge(asWhole!, undefined)).toBe("left");
    expect(judge({ ...asWhole!, expectedStatus: 400 }, deliver(envelope, 400))).toBe("refused");
    expect(judge(asWhole!, deliver(envelope, 429, 500))).toBe("full");
  });

  test.each<[string, SoakRequest, ReturnType<typeof deliver>]>([
    ["a text of another request", asWhole!, deliver(JSON.stringify(whole).replace("Hello", "Bye"))],
    ["no JSON", asWhole!, deliver("Hello.")],
    ["usage that does not add up", asWhole!, deliver({ ...whole, usage: { ...usage, total_tokens: 4 } })],
    ["a failure of the server", asWhole!, deliver(envelope, 500)],
    ["a 200 for an invalid request", { ...asWhole!, expectedStatus: 400 }, deliver(whole)],
    ["another status", { ...asWhole!, expectedStatus: 400 }, deliver(envelope, 404)],
    ["a refusal without an envelope", { ...asWhole!, expectedStatus: 400 }, deliver({ message: "no" }, 400)],
    ["a 429 that does not say when to return", asWhole!, deliver(envelope, 429)],
    ["a stream without an end", asStream!, deliver(frames(...stream.slice(0, -1)))],
    ["a stream with two", asStream!, deliver(frames(...stream, "[DONE]"))],
    ["a stream that breaks off in an event", asStream!, deliver(frames(...stream).slice(0, -1))],
    ["a stream that fails", asStream!, deliver(frames(...stream.slice(0, 1), { error: {}, choices: [] }, "[DONE]"))],
    ["text behind the reason of the end", asStream!, deliver(frames(...stream.slice(0, 3), piece("!"), ...stream.slice(3)))],
    ["a stream without usage", asStream!, deliver(frames(...stream.slice(0, 3), "[DONE]"))],
  ])("wrong: %s", (_, request, delivery) => {
    expect(() => judge(request, delivery)).toThrow(/./);
  });
});

describe("memory", () => {
  const samples = (bytesAt: (done: number) => number) =>
    Array.from({ length: 400 }, (_, i) => ({ done: 1000 + i, residentBytes: bytesAt(i) }));

  test("that comes and goes does not grow", () => {
    expect(Math.abs(growth(samples((i) => 1e8 + 1e6 * (i % 20))))).toBeLessThan(1e5);
  });

  test("that is lost does, by what is lost", () => {
    expect(growth(samples((i) => 1e8 + 1e5 * i + 1e6 * (i % 20))) / (1e5 * 399)).toBeCloseTo(1, 1);
  });
});

test("the requests of a seed are always the same, of all kinds and behaviours", async () => {
  const [first, second] = [await createRequestMix(5), await createRequestMix(5)];
  const requests = Array.from({ length: 400 }, (_, i) => first(i));

  expect(requests.map(({ body }) => body)).toEqual(Array.from({ length: 400 }, (_, i) => second(i).body));
  expect(new Set(requests.map(({ kind }) => kind)).size).toBe(10);
  expect(new Set(requests.map(({ behaviour }) => behaviour.type)).size).toBe(6);
  expect(new Set(requests.map(({ form }) => form.api)).size).toBe(4);
  const leaving = requests.filter(({ behaviour }) => behaviour.type.startsWith("leaves")).length;
  expect(leaving / requests.length).toBeCloseTo(0.2, 1);
});
