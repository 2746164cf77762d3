// Responses by id: conversations that go on, and what can be read, deleted and cancelled, by whom and for how long.

import { BadRequestError, NotFoundError } from "openai";
import { describe, expect, test } from "vitest";
import { inputItemsSchema } from "../../src/api/responses/response-schema.ts";
import { ResponseStore } from "../../src/api/responses/response-store.ts";
import type { ResponseObject } from "../../src/api/responses/response-object.ts";
import { helloEvents, pngBase64, started, untilAborted } from "./make-app.ts";
import { parseMetrics } from "./parse-metrics.ts";
import { callEvents, makeResponsesApp, weatherTool } from "./responses-app.ts";

const ask = { model: "ernie", input: "Hi" };
const png = `data:image/png;base64,${pngBase64}`;

/** Keeps a response of so many MiB. */
function keep(store: ResponseStore, client: string | undefined, id: string, size = 0): void {
  const content = [{ type: "input_image" as const, image_url: "x".repeat(size * 2 ** 20), detail: undefined }];
  store.keep(client, { response: { id } as ResponseObject, input: [{ type: "message", id: "m", role: "user", content }] });
}

function has(store: ResponseStore, client: string | undefined, id: string): boolean {
  try {
    return store.get(client, id).response.id === id;
  } catch {
    return false;
  }
}

describe("previous_response_id", () => {
  test.each([false, true])("puts what was said before the input, stream: %s", async (stream) => {
    const { client, send, calls } = makeResponsesApp(helloEvents);
    const create = async (body: object): Promise<string> => {
      const text = await (await send({ ...ask, ...body, stream })).text();
      return /"id":"(resp_\w+)"/.exec(text)![1]!;
    };
    const first = await create({ instructions: "Be brief." });
    const second = await create({
      input: [{ role: "user", content: [{ type: "input_image", image_url: png }] }],
      previous_response_id: first,
    });
    await create({ input: "Bye", previous_response_id: second, instructions: "Be kind." });

    const says = (role: string, text: string) => ({ role, content: [{ type: "text", text }] });
    expect(calls[2]?.chat.messages).toEqual([
      says("system", "Be kind."),
      says("user", "Hi"),
      says("assistant", "Hello."),
      { role: "user", content: [expect.objectContaining({ type: "image", bytes: Buffer.from(pngBase64, "base64") })] },
      says("assistant", "Hello."),
      says("user", "Bye"),
    ]);
    expect((await client.responses.retrieve(second)).previous_response_id).toBe(first);
  });

  test.each([null, "auto" as const])("a result follows the call and the thinking that the server keeps, summary: %s", async (summary) => {
    const { client, calls } = makeResponsesApp(callEvents);
    const { id, output } = await client.responses.create({ ...ask, tools: [weatherTool], reasoning: { summary } });
    const results = output.flatMap((item) =>
      item.type === "function_call" ? [{ type: "function_call_output" as const, call_id: item.call_id, output: "sunny" }] : [],
    );

    await client.responses.create({ model: "ernie", input: results, previous_response_id: id });

    const roles = calls[1]?.chat.messages.map(({ role }) => role);
    expect(roles).toEqual(["user", "assistant", "tool", "tool"]);
    expect(calls[1]?.chat.messages[1]).toMatchObject({ reasoning: "I need the weather.", toolCalls: [{}, {}] });
  });

  test("one item, named thousands of times, may not become more than a request could send", async () => {
    const { send, calls } = makeResponsesApp(helloEvents);
    const thought = { type: "reasoning", content: [{ type: "reasoning_text", text: "x".repeat(2 ** 20) }] };
    const { id } = (await (await send({ ...ask, input: [thought, { role: "user", content: "Hi" }] })).json()) as ResponseObject;
    const reference = { type: "item_reference", id: `rs_${id.slice("resp_".length)}_in0` };
    const refer = (count: number) => send({ ...ask, input: Array.from({ length: count }, () => reference) });

    const response = await refer(600);

    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_value", param: "input[63].id" } });
    expect(calls).toHaveLength(1);
    expect((await refer(60)).status).toBe(200);
  });

  test("items may be named by their ids instead of sent", async () => {
    const { client, calls } = makeResponsesApp(callEvents);
    const { output, id } = await client.responses.create({ ...ask, tools: [weatherTool] });
    const { data: input } = await client.responses.inputItems.list(id);

    await client.responses.create({
      model: "ernie",
      input: [
        ...[...input, ...output].map((item) => ({ type: "item_reference" as const, id: item.id! })),
        { role: "user", content: "And?" },
      ],
    });

    expect(calls[1]?.chat.messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    const other = { type: "item_reference" as const, id: `${output[0]!.id}9` };
    await expect(client.responses.create({ model: "ernie", input: [other] })).rejects.toMatchObject({
      status: 404,
      code: "item_not_found",
      param: "input[0].id",
    });
  });
});

describe("a stored response", () => {
  test("is retrieved as it was given", async () => {
    const { client } = makeResponsesApp(callEvents);
    const { _request_id: _, ...given } = await client.responses.create({ ...ask, tools: [weatherTool], metadata: { a: "b" } });

    expect(await client.responses.retrieve(given.id)).toMatchObject(given);
  });

  test("lists its input in pages, the last item first unless told", async () => {
    const { client } = makeResponsesApp(helloEvents);
    const { id } = await client.responses.create({
      model: "ernie",
      input: [
        { role: "user", content: [{ type: "input_text", text: "A" }, { type: "input_image", image_url: png } as never] },
        { role: "assistant", content: "B" },
        { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
        { type: "function_call_output", id: "fco_own", call_id: "c", output: "D" },
      ],
    });

    const page = await client.responses.inputItems.list(id, { limit: 3, order: "asc" });
    const rest = await page.getNextPage();
    const all = [];
    for await (const item of client.responses.inputItems.list(id)) all.push(item);

    expect(page.data).toMatchObject([
      { role: "user", status: "completed", content: [{ text: "A" }, { type: "input_image", image_url: png, detail: "auto" }] },
      { role: "assistant", content: [{ type: "output_text", text: "B", annotations: [] }] },
      { type: "function_call", call_id: "c" },
    ]);
    expect([page.has_more, rest.has_more]).toEqual([true, false]);
    expect(rest.data).toMatchObject([{ id: "fco_own", output: "D" }]);
    expect(all.map((item) => item.id)).toEqual([...page.data, ...rest.data].map((item) => item.id).toReversed());
    const end = await client.responses.inputItems.list(id, { after: all.at(-1)!.id! }).asResponse();
    expect(await end.json()).toEqual({ object: "list", data: [], first_id: null, last_id: null, has_more: false });
    await expect(client.responses.inputItems.list(id, { limit: 0 })).rejects.toBeInstanceOf(BadRequestError);
  });

  test("is gone when deleted, and so is what followed it", async () => {
    const { client } = makeResponsesApp(helloEvents);
    const first = await client.responses.create(ask);
    const second = await client.responses.create({ ...ask, previous_response_id: first.id });

    await client.responses.delete(first.id);

    await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(NotFoundError);
    await expect(client.responses.delete(first.id)).rejects.toBeInstanceOf(NotFoundError);
    await expect(client.responses.create({ ...ask, previous_response_id: second.id })).rejects.toMatchObject({
      status: 404,
      code: "previous_response_not_found",
      param: "previous_response_id",
    });
  });

  test("belongs to the key it was made with", async () => {
    const { clientFor } = makeResponsesApp(helloEvents, { apiKeys: ["alice", "eve"] });
    const [alice, eve] = [clientFor("alice"), clientFor("eve")];
    const { id, output } = await alice.responses.create(ask);

    const tries = [
      eve.responses.retrieve(id),
      eve.responses.delete(id),
      eve.responses.cancel(id),
      eve.responses.inputItems.list(id),
      eve.responses.create({ ...ask, previous_response_id: id }),
      eve.responses.create({ ...ask, input: [{ type: "item_reference", id: output[0]!.id! }] }),
    ];

    for (const attempt of tries) await expect(attempt).rejects.toBeInstanceOf(NotFoundError);
    expect((await alice.responses.retrieve(id)).id).toBe(id);
  });

  test.each<[string, object, object]>([
    ["the request says so", {}, { store: false }],
    ["the server keeps none", { responseStore: 0 }, {}],
  ])("there is none when %s", async (_, options, fields) => {
    const { client } = makeResponsesApp(helloEvents, options);
    const response = await client.responses.create({ ...ask, ...fields });

    expect(response).toMatchObject({ store: false });
    await expect(client.responses.retrieve(response.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  test("leaves when there are too many, the one not used for longest first", async () => {
    const { client } = makeResponsesApp(helloEvents, { responseStore: 2 });
    const [first, second] = [await client.responses.create(ask), await client.responses.create(ask)];
    await client.responses.retrieve(first.id);
    await client.responses.create(ask);

    await expect(client.responses.retrieve(second.id)).rejects.toBeInstanceOf(NotFoundError);
    expect((await client.responses.retrieve(first.id)).id).toBe(first.id);
  });

  test("leaves when pictures take too much memory", () => {
    const store = new ResponseStore(1000);
    const ids = Array.from({ length: 10 }, (_, index) => `resp_${index}`);
    for (const id of ids) keep(store, undefined, id, 60);

    expect(ids.filter((id) => has(store, undefined, id))).toEqual(ids.slice(-4));
  });

  test("does not leave for one of a client that keeps more", () => {
    const store = new ResponseStore(6);
    for (const client of ["alice", "bob"]) keep(store, client, "resp_first");
    const later = Array.from({ length: 20 }, (_, index) => `resp_${index}`);
    for (const id of later) keep(store, "eve", id);

    expect(["alice", "bob"].map((client) => has(store, client, "resp_first"))).toEqual([true, true]);
    expect(later.filter((id) => has(store, "eve", id))).toEqual(later.slice(-4));
    keep(store, "alice", "resp_second");
    expect(later.filter((id) => has(store, "eve", id))).toEqual(later.slice(-3));
    keep(store, "alice", "resp_third"); // eve has no more than alice now
    expect(["resp_first", "resp_second", "resp_third"].map((id) => has(store, "alice", id))).toEqual([false, true, true]);
  });

  test("does not leave for large ones of a client that takes more memory", () => {
    const store = new ResponseStore(1000);
    for (const id of ["resp_1", "resp_2"]) keep(store, "alice", id, 60);
    for (const id of ["resp_3", "resp_4", "resp_5"]) keep(store, "eve", id, 60);

    expect(["resp_1", "resp_2"].map((id) => has(store, "alice", id))).toEqual([true, true]);
    expect(["resp_3", "resp_4", "resp_5"].map((id) => has(store, "eve", id))).toEqual([false, true, true]);

    keep(store, "bob", "resp_6", 30);
    expect(["resp_1", "resp_2"].map((id) => has(store, "alice", id))).toEqual([false, true]);
    expect(has(store, "bob", "resp_6")).toBe(true);
  });

  test("that has left, or was deleted, makes room", () => {
    const store = new ResponseStore(2);
    for (const id of ["resp_1", "resp_2"]) keep(store, "alice", id);
    for (const id of ["resp_1", "resp_2"]) store.delete("alice", id);
    for (const id of ["resp_3", "resp_4", "resp_5"]) keep(store, "eve", id);

    expect(["resp_3", "resp_4", "resp_5"].map((id) => has(store, "eve", id))).toEqual([false, true, true]);
  });

  test("lists what the assistant thought and said as output, whichever way it was sent", async () => {
    const { client, app } = makeResponsesApp(helloEvents);
    const thought = { type: "reasoning_text" as const, text: "A greeting." };
    const { id } = await client.responses.create({
      model: "ernie",
      input: [
        { role: "assistant", content: [{ type: "input_text", text: "Hello" }] },
        { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "A greeting." }], content: [thought] },
      ],
    });

    const listed = inputItemsSchema.parse(await (await app.request(`/v1/responses/${id}/input_items?order=asc`)).json());

    expect(listed.data).toMatchObject([
      { role: "assistant", content: [{ type: "output_text", text: "Hello" }] },
      { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "A greeting." }], content: [thought] },
    ]);
  });

  test("lists files of its input as they were sent", async () => {
    const { client, app } = makeResponsesApp(helloEvents);
    const file = { type: "input_file", file_data: "data:text/plain,Hi", filename: "a.txt", detail: "low" } as const;
    const call = { type: "function_call", call_id: "c", name: "read", arguments: "{}" } as const;
    const input = [
      { role: "user" as const, content: [file] },
      call,
      { type: "function_call_output" as const, call_id: "c", output: [file] },
    ];
    const { id } = await client.responses.create({ model: "ernie", input });

    const listed = inputItemsSchema.parse(await (await app.request(`/v1/responses/${id}/input_items?order=asc`)).json());

    expect(listed.data).toMatchObject([{ content: [file] }, {}, { output: [file] }]);
  });

  test("is kept as it failed, where the client has begun to read it", async () => {
    const { client } = makeResponsesApp([started, { type: "content", text: "Hel" }, new Error("secret")]);
    const ids: string[] = [];
    const read = async (): Promise<void> => {
      for await (const event of await client.responses.create({ ...ask, stream: true })) {
        if (event.type === "response.created") ids.push(event.response.id);
      }
    };

    await expect(read()).rejects.toThrow();
    expect(await client.responses.retrieve(ids[0]!)).toMatchObject({ status: "failed", error: { code: "server_error" } });
  });

  test("is not streamed again", async () => {
    const { client } = makeResponsesApp(helloEvents);
    const { id } = await client.responses.create(ask);

    await expect(client.responses.retrieve(id, { stream: true })).rejects.toMatchObject({ status: 400, param: "stream" });
  });
});

describe("cancelling", () => {
  const endless = async function* endless({ signal }: { signal: AbortSignal }) {
    yield started;
    yield { type: "content", text: "Hel" } as const;
    await untilAborted(signal);
  };

  test("a stream ends it with what it has, and tells the model to stop", async () => {
    const { client, calls, lines } = makeResponsesApp(endless);
    const seen: string[] = [];
    let id = "";
    let cancelled: unknown;
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      seen.push(event.type);
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") cancelled = await client.responses.cancel(id);
    }

    const expected = { id, status: "cancelled", output: [{ status: "incomplete", content: [{ text: "Hel" }] }] };
    expect(cancelled).toMatchObject(expected);
    expect(await client.responses.retrieve(id)).toMatchObject(expected);
    expect(seen.slice(-2)).toEqual(["response.output_item.done", "response.incomplete"]);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(lines.some(({ level }) => level === "error")).toBe(false);
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400, code: "response_not_running" });
  });

  test("is for the response's own key, and nothing is added to it that the model says later", async () => {
    const deaf = async function* deaf({ signal }: { signal: AbortSignal }) {
      yield started;
      yield { type: "content", text: "Hel" } as const;
      await untilAborted(signal).catch(() => {});
      yield { type: "content", text: "lo." } as const;
    };
    const { clientFor } = makeResponsesApp(deaf, { apiKeys: ["alice", "eve"] });
    const [alice, eve] = [clientFor("alice"), clientFor("eve")];
    const seen: string[] = [];
    let id = "";
    for await (const event of await alice.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type !== "response.output_text.delta") continue;
      seen.push(event.delta);
      await expect(eve.responses.cancel(id)).rejects.toBeInstanceOf(NotFoundError);
      await alice.responses.cancel(id);
    }

    expect(seen).toEqual(["Hel"]);
  });

  test("counts as an abort", async () => {
    const { client, metrics } = makeResponsesApp(endless);
    let id = "";
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") await client.responses.cancel(id);
    }

    const value = parseMetrics(await metrics.expose());
    expect(value("ernie_vl_request_success_total", { finished_reason: "abort" })).toBe(1);
    expect(value("ernie_vl_request_success_total")).toBe(1);
  });

  test("keeps a response once, so that it takes the room of one", async () => {
    const { client } = makeResponsesApp(endless, { responseStore: 2 });
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) {
      for await (const event of await client.responses.create({ ...ask, stream: true })) {
        if (event.type === "response.created") ids.push(event.response.id);
        if (event.type === "response.output_text.delta") await client.responses.cancel(ids.at(-1)!);
      }
    }

    await expect(client.responses.retrieve(ids[0]!)).rejects.toBeInstanceOf(NotFoundError);
    for (const id of ids.slice(1)) expect((await client.responses.retrieve(id)).status).toBe("cancelled");
  });

  test("a response that has ended is refused, an unknown one not found", async () => {
    const { client } = makeResponsesApp(helloEvents);
    const { id } = await client.responses.create(ask);

    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400, message: expect.stringContaining("completed") });
    await expect(client.responses.cancel("resp_1")).rejects.toBeInstanceOf(NotFoundError);
  });

  test("is no longer possible when the client has left", async () => {
    const { client } = makeResponsesApp(endless);
    let id = "";
    for await (const event of await client.responses.create({ ...ask, stream: true })) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") break;
    }

    await expect.poll(() => client.responses.cancel(id).catch((error: unknown) => error)).toBeInstanceOf(NotFoundError);
  });
});
