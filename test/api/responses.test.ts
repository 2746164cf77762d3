// POST /v1/responses through the official client: its types, its accumulator and its parsers are the judges.

import * as fc from "fast-check";
import { APIError, BadRequestError, NotFoundError } from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import type { Response, ResponseStreamEvent } from "openai/resources/responses/responses";
import { z } from "zod";
import { describe, expect, test } from "vitest";
import { ResponseBuilder, type ResponseEvent } from "../../src/api/responses/response-builder.ts";
import { type ResponseHead, type ResponseObject, toResponseUsage } from "../../src/api/responses/response-object.ts";
import { EngineError, RequestError } from "../../src/core/errors.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { responseSchema } from "../../src/api/responses/response-schema.ts";
import { finished, helloEvents, started, thinkingEvents, untilAborted, usage } from "./make-app.ts";
import { readEvents } from "./response-schema.ts";
import { callEvents, makeResponsesApp, weatherTool } from "./responses-app.ts";

const ask = { model: "ernie", input: "Hi" };

/** Ids and times are different each time. */
const withoutIds = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value)
      .replaceAll(/:"((resp|msg|rs|fc|call)_)\w+/g, ':"$1')
      .replaceAll(/"(created|completed)_at":\d+/g, '"$1_at":1'),
  ) as object;

/** As the client's types have it: they add `output_text`, and leave out that a response without an end has no usage. */
type Seen = Omit<ResponseObject, "usage"> & { usage: NonNullable<ResponseObject["usage"]>; output_text: string };
type SeenEvent<T> = T extends { response: ResponseObject } ? Omit<T, "response"> & { response: Seen } : T;

test("our objects are the client's types", () => {
  const toClient = (event: SeenEvent<ResponseEvent>): ResponseStreamEvent => event;
  const builder = new ResponseBuilder({ id: "resp_1", reasoning: { effort: null, summary: null } } as ResponseHead);

  const events = callEvents
    .flatMap((event): ResponseEvent[] => builder.push(event))
    .map((event) => toClient(event as SeenEvent<ResponseEvent>));
  const response: Response = { ...builder.response, usage: toResponseUsage(usage), output_text: "" };

  expect(events.length).toBeGreaterThan(10);
  expect(response.output).toHaveLength(3);
});

describe("create", () => {
  test("gives the text, the usage and the request id", async () => {
    const { client, send } = makeResponsesApp(helloEvents);

    const response = await client.responses.create(ask);

    expect(response).toMatchObject({ status: "completed", output_text: "Hello.", incomplete_details: null, error: null });
    expect(response.usage).toEqual({
      input_tokens: 12,
      input_tokens_details: { cached_tokens: 4, cache_write_tokens: 0 },
      output_tokens: 3,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 15,
    });
    expect(response._request_id).toMatch(/^req_/);
    responseSchema.parse(await (await send(ask)).json());
  });

  test("gives thinking, text and calls as items in the order they came", async () => {
    const { output } = await makeResponsesApp(callEvents).client.responses.create({ ...ask, tools: [weatherTool] });

    expect(withoutIds(output)).toEqual([
      {
        type: "reasoning",
        id: "rs_",
        status: "completed",
        summary: [],
        content: [{ type: "reasoning_text", text: "I need the weather." }],
      },
      {
        type: "message",
        id: "msg_",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "One moment.", annotations: [], logprobs: [] }],
      },
      { type: "function_call", id: "fc_", call_id: "call_", name: "get_weather", arguments: '{"city": "Toronto"}', status: "completed" },
      { type: "function_call", id: "fc_", call_id: "call_", name: "get_weather", arguments: '{"city": "Oslo"}', status: "completed" },
    ]);
  });

  test("gives thinking as a summary instead of content where the request asks for one", async () => {
    const { client, send } = makeResponsesApp(callEvents);
    const request = { ...ask, tools: [weatherTool], reasoning: { summary: "auto" as const } };
    const summary = [{ type: "summary_text" as const, text: "I need the weather." }];

    const whole = await client.responses.create(request);
    const events = readEvents(await (await send({ ...request, stream: true })).text());

    expect(whole).toMatchObject({ reasoning: { summary: "auto" }, output: [{ type: "reasoning", summary, content: [] }, {}, {}, {}] });
    const { output_text: _, ...response } = withoutIds(whole) as Response;
    expect(withoutIds(events.at(-1)!)).toMatchObject({ response });
    const thought = { item_id: "rs_", output_index: 0, summary_index: 0 };
    expect(withoutIds(events.slice(2, 8))).toMatchObject([
      { type: "response.output_item.added", item: { type: "reasoning", summary: [], content: [], status: "in_progress" } },
      { type: "response.reasoning_summary_part.added", ...thought, part: { type: "summary_text", text: "" } },
      { type: "response.reasoning_summary_text.delta", ...thought, delta: "I need " },
      { type: "response.reasoning_summary_text.delta", ...thought, delta: "the weather." },
      { type: "response.reasoning_summary_text.done", ...thought, text: "I need the weather." },
      { type: "response.reasoning_summary_part.done", ...thought, part: summary[0] },
    ]);
    expect(events[8]).toMatchObject({ type: "response.output_item.done", item: { summary, content: [], status: "completed" } });
    expect(events.map(({ type }) => type).filter((type) => type.startsWith("response.reasoning_text"))).toEqual([]);
  });

  test("says what it was asked, with the defaults filled in", async () => {
    const { client } = makeResponsesApp(helloEvents, { generationDefaults: { topP: 0.8 } });
    const format = { type: "json_schema", name: "a", schema: { type: "object" }, strict: true } as const;
    const asked = { instructions: "Be brief.", temperature: 0.5, max_output_tokens: 9, metadata: { a: "b" }, text: { format } };

    const response = await client.responses.create({ ...ask, ...asked, reasoning: { effort: "high" }, prompt_cache_key: "k" });

    expect(response).toMatchObject({ ...asked, top_p: 0.8, reasoning: { effort: "high" }, prompt_cache_key: "k", tool_choice: "auto" });
    const called = await client.responses.create({ ...ask, tools: [weatherTool], tool_choice: { type: "function", name: "get_weather" } });
    expect(called).toMatchObject({
      tools: [weatherTool],
      tool_choice: { type: "function", name: "get_weather" },
      parallel_tool_calls: true,
    });
  });

  test("an answer that the limit cut is incomplete, and so is its last item", async () => {
    const events: ChatEvent[] = [...callEvents.slice(0, 6), { type: "finished", reason: "length", usage }];
    const { client } = makeResponsesApp(events);

    const whole = await client.responses.create(ask);
    const streamed = await client.responses.stream(ask).finalResponse();

    for (const { status, incomplete_details: details, output } of [whole, streamed]) {
      expect({ status, details }).toEqual({ status: "incomplete", details: { reason: "max_output_tokens" } });
      expect(output.map((item) => "status" in item && item.status)).toEqual(["completed", "completed", "incomplete"]);
    }
  });

  test.each([
    ["the model", ["</think>"]],
    ["its budget", []],
  ])("log-probabilities belong to the texts, not to calls or to thinking, whose end came from %s", async (_, end) => {
    const token = (text: string): ChatEvent => ({ type: "logprobs", chosen: { text, bytes: [1], logprob: -1 }, top: [] });
    const parts: ChatEvent[] = [
      { type: "reasoning", text: "I" },
      { type: "content", text: "OK" },
      { type: "content", text: "." },
      { type: "tool-call", name: "f" },
      { type: "tool-arguments", text: "{" },
      { type: "content", text: "So." },
    ];
    const tokens = [["I"], [...end, "O", "K"], ["."], ["<tool_call>"], ["{"], ["}", "</tool_call>", "So."]];
    const events = [started, ...parts.flatMap((part, index) => [...tokens[index]!.map(token), part]), finished];
    const { client, calls } = makeResponsesApp(events);
    const request = { ...ask, include: ["message.output_text.logprobs" as const], top_logprobs: 2 };

    const whole = await client.responses.create(request);
    const streamed = await client.responses.stream(request).finalResponse();

    for (const { output } of [whole, streamed]) {
      const texts = output.flatMap((item) => (item.type === "message" ? item.content : []));
      expect(texts).toMatchObject([
        { logprobs: [{ token: "O", bytes: [1], logprob: -1, top_logprobs: [] }, { token: "K" }, { token: "." }] },
        { logprobs: [{ token: "So." }] },
      ]);
    }
    expect(calls[0]?.options.logprobCount).toBe(2);
  });

  test("parses an answer in a schema", async () => {
    const events: ChatEvent[] = [started, { type: "content", text: '{"sum": 4}' }, finished];
    const { client, calls } = makeResponsesApp(events);

    const text = { format: zodTextFormat(z.object({ sum: z.number() }), "sum") };
    const { output_parsed: parsed } = await client.responses.parse({ ...ask, text });

    expect(parsed).toEqual({ sum: 4 });
    expect(calls[0]?.options.format).toMatchObject({ type: "json_schema", isStrict: true, param: "text.format.schema" });
  });
});

describe("a stream", () => {
  test("has these events in this order", async () => {
    const { send } = makeResponsesApp(callEvents);
    const answer = await send({ ...ask, tools: [weatherTool], stream: true });

    const item = (...inside: string[]) => ["response.output_item.added", ...inside, "response.output_item.done"];
    const part = (...inside: string[]) => ["response.content_part.added", ...inside, "response.content_part.done"];
    const thinking = ["response.reasoning_text.delta", "response.reasoning_text.delta", "response.reasoning_text.done"];
    const args = "response.function_call_arguments";
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(readEvents(await answer.text()).map(({ type }) => type)).toEqual([
      "response.created",
      "response.in_progress",
      ...item(...part(...thinking)),
      ...item(...part("response.output_text.delta", "response.output_text.done")),
      ...item(`${args}.delta`, `${args}.delta`, `${args}.done`),
      ...item(`${args}.delta`, `${args}.done`),
      "response.completed",
    ]);
  });

  test.each([
    ["text", helloEvents],
    ["thinking", thinkingEvents],
    ["calls", callEvents],
    ["nothing", [started, finished]],
  ])("adds up to the whole response, with the client's accumulator: %s", async (_, events) => {
    const { client } = makeResponsesApp(events);

    const whole = await client.responses.create(ask);
    const stream = client.responses.stream(ask);
    const deltas: string[] = [];
    stream.on("response.output_text.delta", ({ delta }) => deltas.push(delta));
    const final = await stream.finalResponse();

    expect(withoutIds(final)).toMatchObject(withoutIds({ ...whole, _request_id: undefined }));
    expect(deltas.join("")).toBe(whole.output_text);
  });

  test("gives the same response however the text is cut", async () => {
    const cutAny = (text: string) =>
      fc.array(fc.nat(text.length), { maxLength: 5 }).map((cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), text.length];
        return places
          .slice(1)
          .map((end, index) => text.slice(places[index], end))
          .filter((piece) => piece !== "");
      });
    const texts = { reasoning: "I need the weather.", content: "One moment 🌤", args: '{"city": "Toronto"}' };
    const cuts = fc.record({ reasoning: cutAny(texts.reasoning), content: cutAny(texts.content), args: cutAny(texts.args) });
    const toEvents = ({ reasoning, content, args }: Record<keyof typeof texts, string[]>): ChatEvent[] => [
      started,
      ...reasoning.map((text) => ({ type: "reasoning", text }) as const),
      ...content.map((text) => ({ type: "content", text }) as const),
      { type: "tool-call", name: "get_weather" },
      ...args.map((text) => ({ type: "tool-arguments", text }) as const),
      { type: "finished", reason: "tool_calls", usage },
    ];
    const whole = await makeResponsesApp(toEvents({ reasoning: [texts.reasoning], content: [texts.content], args: [texts.args] })).send(
      ask,
    );
    const expected = withoutIds(await whole.json());

    await fc.assert(
      fc.asyncProperty(cuts, fc.boolean(), async (pieces, stream) => {
        const answer = await makeResponsesApp(toEvents(pieces)).send({ ...ask, stream });
        const response = stream ? readEvents(await answer.text()).at(-1)?.response : await answer.json();
        expect(withoutIds(response)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  test("that breaks makes the client throw, after the events that tell why", async () => {
    const script = [started, { type: "content", text: "Hel" } as const, new EngineError("boom")];
    const { client, send, lines } = makeResponsesApp(script);

    await expect(client.responses.stream(ask).finalResponse()).rejects.toMatchObject({ constructor: APIError, code: "internal_error" });
    const events = readEvents(await (await send({ ...ask, stream: true })).text());

    expect(events.slice(-2)).toMatchObject([
      { type: "error", code: "internal_error" },
      { type: "response.failed", response: { status: "failed", error: { code: "server_error" }, output: [{ status: "incomplete" }] } },
    ]);
    expect(JSON.stringify(events)).not.toContain("boom");
    expect(lines.some(({ level }) => level === "error")).toBe(true);
  });

  test("refused before it begins has a status of its own", async () => {
    const { client } = makeResponsesApp([
      new RequestError("the prompt is too long", { code: "context_length_exceeded", param: "messages[2]" }),
    ]);

    for (const stream of [false, true]) {
      await expect(client.responses.create({ ...ask, stream })).rejects.toMatchObject({
        constructor: BadRequestError,
        code: "context_length_exceeded",
        param: "input",
      });
    }
  });

  test("left by the client aborts the request", async () => {
    const { client, calls } = makeResponsesApp(async function* hello({ signal }) {
      yield started;
      yield { type: "content", text: "Hel" };
      await untilAborted(signal);
    });

    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.output_text.delta") break;
    }

    await expect.poll(() => calls[0]?.signal.aborted).toBe(true);
  });
});

test("a server that is not ready says so", async () => {
  const answer = await makeResponsesApp(helloEvents, { isReady: () => false }).send(ask);

  expect(answer.status).toBe(503);
});

test("unknown responses are the client's NotFoundError", async () => {
  const { client } = makeResponsesApp(helloEvents);

  await expect(client.responses.retrieve("resp_1")).rejects.toBeInstanceOf(NotFoundError);
});
