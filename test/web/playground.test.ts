// What the page does, without a page: asking, stopping, editing, keeping.

import { describe, expect, test } from "vitest";
import type { AnswerTurn } from "../../web/chat/conversation.ts";
import { Playground } from "../../web/chat/playground.ts";
import type { ChatRequest } from "../../web/chat/request.ts";
import { memoryStore } from "../../web/store/conversation-store.ts";
import { contentChunk, makeAttachment, streamOf } from "./make-turns.ts";

type Reply = (request: ChatRequest, signal: AbortSignal) => Response | Promise<Response>;

const models = { data: [{ id: "nano", context_length: 4096, input_modalities: ["text", "image", "video"] }] };

function makePlayground(reply: Reply = () => streamOf([contentChunk("Two stars.", "stop")])) {
  const asked: ChatRequest[] = [];
  const server = { reply, key: "", sentKeys: [] as (string | null)[] };
  const fetcher = async (path: string, init: RequestInit) => {
    server.sentKeys.push(new Headers(init.headers).get("authorization"));
    if (path === "v1/models") return Response.json(models);
    const request = JSON.parse(init.body as string) as ChatRequest;
    asked.push(request);
    return server.reply(request, init.signal!);
  };
  let ids = 0;
  const store = memoryStore();
  const playground = new Playground({
    store,
    connection: () => ({ fetch: fetcher as typeof fetch, key: server.key }),
    now: () => performance.now(),
    createId: () => `id-${ids++}`,
  });
  return { playground, asked, server, store };
}

async function untilIdle(playground: Playground): Promise<AnswerTurn> {
  while (playground.state.run) await new Promise((resolve) => setTimeout(resolve, 1));
  return playground.state.conversation.turns.at(-1) as AnswerTurn;
}

/** A reply that never comes, until it is given up. */
const silent: Reply = (_, signal) =>
  new Promise((_resolve, reject) => {
    const giveUp = () => reject(new DOMException("given up", "AbortError"));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp);
  });

test("the server's models are known after the start, and the first is asked", async () => {
  const { playground, asked } = makePlayground();
  await playground.start(undefined);
  playground.send("What is this?", []);
  await untilIdle(playground);

  expect(playground.state.model).toEqual({ id: "nano", contextLength: 4096, takesVideo: true, tellsRouting: false });
  expect(asked[0]).toMatchObject({ model: "nano", stream: true, stream_options: { include_usage: true } });
});

test("something else at the address is said to be no server", async () => {
  const playground = new Playground({
    store: memoryStore(),
    connection: () => ({ fetch: (async () => new Response("<html>Sign in</html>")) as typeof fetch, key: "" }),
    now: () => 0,
    createId: () => "id",
  });
  await playground.start(undefined);

  expect(playground.state.server).toMatchObject({ type: "problem", problem: { title: "What answers here is not the server" } });
});

test("a key is sent as a header where there is one", async () => {
  const { playground, server } = makePlayground();
  await playground.connect();
  server.key = "secret";
  await playground.connect();

  expect(server.sentKeys).toEqual([null, "Bearer secret"]);
});

describe("a message", () => {
  test("is answered, and kept with its picture", async () => {
    const { playground, store } = makePlayground();
    playground.send("What is this?", [makeAttachment()]);
    const answer = await untilIdle(playground);

    expect(answer).toMatchObject({ state: "done", text: "Two stars.", metrics: { finishReason: "stop" } });
    await expect.poll(() => playground.state.summaries).toMatchObject([{ title: "What is this?" }]);
    const kept = await store.load(playground.state.conversation.id);
    expect(kept!.turns).toMatchObject([{ attachments: [{ name: "stars.png" }] }, { state: "done" }]);
  });

  test("is not taken while its settings have a mistake", async () => {
    const { playground, asked } = makePlayground();
    playground.change({ format: "schema", schema: "{" });

    expect(playground.send("What is this?", [])).toMatchObject({ tab: "format", mistake: { line: 1, column: 2 } });
    expect(playground.state.conversation.turns).toEqual([]);
    expect(asked).toEqual([]);
  });

  test("waits for the answer before: a second is not sent meanwhile", async () => {
    const { playground, asked } = makePlayground(silent);
    playground.send("One?", []);
    playground.send("Two?", []);
    playground.stop();
    await untilIdle(playground);

    expect(asked).toHaveLength(1);
  });
});

test("a stop keeps what came", async () => {
  let tellMore: () => void = () => undefined;
  const { playground } = makePlayground((_, signal) => {
    const encoder = new TextEncoder();
    return new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(encoder.encode(`data: ${JSON.stringify(contentChunk("Two"))}\n\n`));
          tellMore = () => controller.error(new DOMException("given up", "AbortError"));
          signal.addEventListener("abort", () => tellMore());
        },
      }),
    );
  });
  playground.send("What is this?", []);
  await expect.poll(() => (playground.state.conversation.turns[1] as AnswerTurn).text).toBe("Two");
  playground.stop();

  expect(await untilIdle(playground)).toMatchObject({ state: "stopped", text: "Two" });
});

describe("problems", () => {
  test.each<[string, Reply, object]>([
    ["no connection", () => Promise.reject(new TypeError("fetch failed")), { kind: "unreachable" }],
    ["a refusal", () => Response.json({ error: { message: "no" } }, { status: 400 }), { kind: "refused", detail: "no" }],
    ["a stream without its end", () => streamOf([contentChunk("Two")], ""), { kind: "broken" }],
    ["a stream of something else", () => streamOf([contentChunk("Two")], "data: <html>\n\n"), { kind: "broken" }],
    [
      "an error in the stream",
      () => streamOf([contentChunk("Two"), { error: { message: "out of order" } }]),
      { kind: "server", detail: "out of order" },
    ],
  ])("%s", async (_, reply, problem) => {
    const { playground } = makePlayground(reply);
    playground.send("What is this?", []);

    expect(await untilIdle(playground)).toMatchObject({ state: "failed", problem });
    expect(playground.state.conversation.turns[0]).toMatchObject({ text: "What is this?" });
  });

  test("end with the next try", async () => {
    const { playground, server } = makePlayground(() => Response.json({ error: { message: "no" } }, { status: 429 }));
    playground.send("What is this?", []);
    const failed = await untilIdle(playground);
    server.reply = () => streamOf([contentChunk("Two stars.", "stop")]);
    playground.regenerate(failed.id);

    const answer = await untilIdle(playground);
    expect([answer.state, answer.problem]).toEqual(["done", undefined]);
    expect(playground.state.conversation.turns).toHaveLength(2);
  });
});

test("an answer that is to be computed anew shares no cache with others, and says nothing of it in the next", async () => {
  const { playground, asked } = makePlayground();
  playground.send("One?", []);
  const first = await untilIdle(playground);
  playground.regenerate(first.id, true);
  await untilIdle(playground);
  playground.send("Two?", []);
  await untilIdle(playground);

  expect(asked.map((request) => typeof request["cache_salt"])).toEqual(["undefined", "string", "undefined"]);
});

test("which experts answered is asked of a server that tells it, and kept with the answer", async () => {
  const routing = { layers: [1] };
  const { playground, asked } = makePlayground(() => streamOf([{ choices: [{ index: 0, delta: {}, finish_reason: "stop", routing }] }]));
  await playground.start(undefined);
  playground.send("One?", []);
  await untilIdle(playground);
  playground.chooseModel({ ...playground.state.model!, tellsRouting: true });
  playground.send("Two?", []);

  expect((await untilIdle(playground)).routing).toEqual(routing);
  expect(asked.map((request) => request["return_routing"])).toEqual([undefined, true]);
});

test("an edited message takes the place of itself and all after it", async () => {
  const { playground, asked } = makePlayground();
  playground.send("One?", []);
  await untilIdle(playground);
  playground.send("Two?", []);
  await untilIdle(playground);
  playground.edit(playground.state.conversation.turns[0]!.id, "Three?", []);
  await untilIdle(playground);

  expect(asked.at(-1)!.messages).toEqual([{ role: "user", content: "Three?" }]);
  expect(playground.state.conversation.turns).toHaveLength(2);
});

test("results of calls are given in order, once all are there", async () => {
  const call = (index: number) => ({ index, id: `call-${index}`, function: { name: "look", arguments: "{}" } });
  const { playground, asked, server } = makePlayground(() =>
    streamOf([{ choices: [{ delta: { tool_calls: [call(0), call(1)] }, finish_reason: "tool_calls" }] }]),
  );
  playground.send("Look.", []);
  await untilIdle(playground);
  server.reply = () => streamOf([contentChunk("Seen.", "stop")]);

  playground.giveResults(["one"]);
  expect(asked).toHaveLength(1);
  playground.giveResults(["one", "two"]);
  await untilIdle(playground);

  expect(asked[1]!.messages.slice(2)).toEqual([
    { role: "tool", tool_call_id: "call-0", content: "one" },
    { role: "tool", tool_call_id: "call-1", content: "two" },
  ]);
});

describe("conversations", () => {
  test("an answer goes on while another conversation is shown", async () => {
    let answer: (response: Response) => void = () => undefined;
    const { playground } = makePlayground(() => new Promise((resolve) => (answer = resolve)));
    playground.send("One?", []);
    const { id } = playground.state.conversation;
    await expect.poll(() => playground.state.summaries.length).toBe(1);
    playground.startNew();
    answer(streamOf([contentChunk("One.", "stop")]));
    await untilIdle(playground);

    expect(playground.state.conversation.turns).toEqual([]);
    await playground.open(id);
    expect(playground.state.conversation.turns.at(-1)).toMatchObject({ state: "done", text: "One." });
  });

  test("one that was left in the middle of an answer shows it as stopped", async () => {
    const { playground, store } = makePlayground(silent);
    playground.send("One?", []);
    const { id } = playground.state.conversation;
    await expect.poll(async () => (await store.load(id))?.turns.length).toBe(2);
    const later = new Playground({
      store,
      connection: () => ({ fetch: (async () => Response.json(models)) as typeof fetch, key: "" }),
      now: () => 0,
      createId: () => "later",
    });
    await later.start(id);

    expect(later.state.conversation.turns.at(-1)).toMatchObject({ state: "stopped" });
    playground.stop();
    await untilIdle(playground);
  });

  test("can be renamed and deleted; a new one keeps the settings", async () => {
    const { playground } = makePlayground();
    playground.change({ temperature: 0.3 });
    playground.send("One?", []);
    await untilIdle(playground);
    const { id } = playground.state.conversation;
    await playground.rename(id, " Stars ");
    expect(playground.state.summaries).toMatchObject([{ id, title: "Stars" }]);
    await playground.rename(id, "  ");
    expect(playground.state.conversation.title).toBe("Stars");

    playground.startNew();
    expect(playground.state.conversation.settings.temperature).toBe(0.3);
    await playground.remove(id);
    expect(playground.state.summaries).toEqual([]);
  });

  test("one that is deleted while it is answered stays deleted", async () => {
    const { playground, store } = makePlayground(silent);
    playground.send("One?", []);
    await playground.remove(playground.state.conversation.id);

    expect([await store.list(), playground.state.summaries, playground.state.run]).toEqual([[], [], undefined]);
  });

  test("one that is renamed while it is answered out of sight keeps its new name", async () => {
    let answer: (response: Response) => void = () => undefined;
    const { playground } = makePlayground(() => new Promise((resolve) => (answer = resolve)));
    playground.send("One?", []);
    const { id } = playground.state.conversation;
    playground.startNew();
    await playground.rename(id, "Stars");
    answer(streamOf([contentChunk("One.", "stop")]));
    await untilIdle(playground);

    await expect.poll(() => playground.state.summaries).toMatchObject([{ title: "Stars" }]);
  });

  test("a browser that keeps nothing is no reason not to answer", async () => {
    const fails = () => Promise.reject(new Error("no space"));
    const playground = new Playground({
      store: { list: fails, load: fails, save: fails, remove: fails },
      connection: () => ({ fetch: (async () => streamOf([contentChunk("Two stars.", "stop")])) as typeof fetch, key: "" }),
      now: () => 0,
      createId: () => String(Math.random()),
    });
    playground.send("What is this?", []);

    expect(await untilIdle(playground)).toMatchObject({ state: "done", text: "Two stars." });
  });
});
