// What the page does, without a page: asking, stopping, editing, keeping.

import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type AnswerTurn, canGoOn } from "../../web/chat/conversation.ts";
import { Playground } from "../../web/chat/playground.ts";
import { maxRequestBytes } from "../../web/chat/request.ts";
import { defaultSettings } from "../../web/chat/settings.ts";
import { memoryStore } from "../../web/store/conversation-store.ts";
import { cutsNothing, makePlayground, type Reply, silent, untilIdle } from "./make-playground.ts";
import { contentChunk, makeAnswer, makeAttachment, streamOf } from "./make-turns.ts";

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
    cutPicture: cutsNothing,
  });
  await playground.start(undefined);

  expect(playground.state.server).toMatchObject({ type: "problem", problem: { title: "Another program answered" } });
});

test.each([["null"], ['{"data": {}}'], ["[]"]])("nor is a list of models that is %s", async (body) => {
  const playground = new Playground({
    store: memoryStore(),
    connection: () => ({ fetch: (async () => new Response(body)) as typeof fetch, key: "" }),
    now: () => 0,
    createId: () => "id",
    cutPicture: cutsNothing,
  });
  await playground.start(undefined);

  expect(playground.state.server).toMatchObject({ type: "problem", problem: { kind: "server" } });
});

test.each(["ключ", "“quoted”", "two\nlines"])("a key that no header can hold (%j) is wrong, and the server reached", async (key) => {
  const { playground, server } = makePlayground();
  server.key = key;
  await playground.connect();

  expect(playground.state.server).toMatchObject({ type: "problem", problem: { kind: "key", title: "Wrong API key" } });
  expect(server.sentKeys).toEqual([]);
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
    await expect.poll(() => asked.length).toBe(1);
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

test("a page that is left keeps what came, and its answer was stopped; if the page stays, the next one fails as ever", async () => {
  let breakOff: () => void = () => undefined;
  const { playground, server, store } = makePlayground(
    () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(contentChunk("Two"))}\n\n`));
            breakOff = () => controller.error(new TypeError("Load failed"));
          },
        }),
      ),
  );
  playground.send("What is this?", []);
  await expect.poll(() => (playground.state.conversation.turns[1] as AnswerTurn).text).toBe("Two");
  playground.leave();
  await expect.poll(() => store.load(playground.state.conversation.id)).toMatchObject({ turns: [{}, { text: "Two" }] });
  breakOff();
  expect(await untilIdle(playground)).toMatchObject({ state: "stopped", text: "Two", problem: undefined });

  server.reply = () => streamOf([contentChunk("Two")], "");
  playground.send("And this?", []);
  expect(await untilIdle(playground)).toMatchObject({ state: "failed", problem: { kind: "broken" } });
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

describe("an answer that is asked for again", () => {
  test.each<[string, Reply, string | undefined]>([
    ["no connection", () => Promise.reject(new TypeError("fetch failed")), "unreachable"],
    ["a busy server", () => Response.json({ error: { message: "full" } }, { status: 429 }), "busy"],
    ["a stop before anything came", silent, undefined],
  ])("stays where nothing comes in its place: %s", async (_, reply, problem) => {
    const { playground, server, store } = makePlayground();
    playground.send("One?", []);
    const first = await untilIdle(playground);
    server.reply = reply;
    playground.regenerate(first.id);
    if (reply === silent) playground.stop();
    const again = await untilIdle(playground);

    expect(again).toMatchObject({ state: "done", text: "Two stars.", metrics: first.metrics });
    expect(again.problem?.kind).toBe(problem);
    await expect.poll(async () => (await store.load(playground.state.conversation.id))!.turns[1]).toMatchObject({ text: "Two stars." });
    server.reply = () => streamOf([contentChunk("Three.", "stop")]);
    playground.regenerate(again.id);
    const third = await untilIdle(playground);
    expect([third.text, third.problem]).toEqual(["Three.", undefined]);
  });

  test("gives way to what came, even if that broke off", async () => {
    const { playground, server } = makePlayground();
    playground.send("One?", []);
    const first = await untilIdle(playground);
    server.reply = () => streamOf([contentChunk("Thr")], "");
    playground.regenerate(first.id);

    expect(await untilIdle(playground)).toMatchObject({ state: "failed", text: "Thr" });
  });
});

describe("an answer that is not whole", () => {
  const call = { id: "1", name: "clock", arguments: "{" };
  test.each<[boolean, Partial<AnswerTurn>]>([
    [true, { text: "Two", metrics: { finishReason: "length" } }],
    [true, { text: "Two", state: "stopped" }],
    [true, { thinking: "I see", state: "failed" }],
    [false, { text: "Two", metrics: { finishReason: "stop" } }],
    [false, { text: "Two", state: "running" }],
    [false, { state: "stopped" }],
    [false, { text: "Two", calls: [call], metrics: { finishReason: "length" } }],
    [true, { text: "{", settings: { ...defaultSettings, format: "json" }, metrics: { finishReason: "length" } }],
  ])("can go on: %s, %o", (can, fields) => {
    expect(canGoOn(makeAnswer(fields))).toBe(can);
  });

  test.each<[string, Reply]>([
    ["cut at the limit", () => streamOf([contentChunk("Two st", "length")])],
    ["broken off", () => streamOf([contentChunk("Two st")], "")],
  ])("goes on where it ended: %s", async (_, reply) => {
    const { playground, server, asked } = makePlayground(reply);
    playground.send("One?", []);
    await untilIdle(playground);
    server.reply = () => streamOf([contentChunk("ars.", "stop")]);
    playground.goOn();
    expect(playground.state.run?.answer).toMatchObject({ text: "Two st", metrics: {} });

    expect(await untilIdle(playground)).toMatchObject({ state: "done", text: "Two stars." });
    const [ask, rest] = asked;
    const messages = [...ask!.messages, { role: "assistant", content: "Two st" }];
    expect(rest).toEqual({ ...ask, messages, continue_final_message: true, add_generation_prompt: false });
    expect(playground.state.conversation.turns).toHaveLength(2);
    expect([playground.goOn(), playground.state.run]).toEqual([undefined, undefined]); // it is whole
  });

  test("goes on in its form, whatever the settings have become", async () => {
    const { playground, server, asked } = makePlayground(() => streamOf([contentChunk('{"a', "length")]));
    playground.change({ format: "json" });
    playground.send("One?", []);
    await untilIdle(playground);
    playground.change({ format: "text" });
    server.reply = () => streamOf([contentChunk('": 1}', "stop")]);
    playground.goOn();
    expect(await untilIdle(playground)).toMatchObject({ state: "done", text: '{"a": 1}' });
    expect(asked[1]).toMatchObject({ response_format: { type: "json_object" }, continue_final_message: true });
  });

  test("keeps what it has where nothing comes", async () => {
    const { playground, server } = makePlayground(() => streamOf([contentChunk("Two st", "length")]));
    playground.send("One?", []);
    await untilIdle(playground);
    server.reply = () => Promise.reject(new TypeError("fetch failed"));
    playground.goOn();
    expect(await untilIdle(playground)).toMatchObject({ state: "failed", text: "Two st", problem: { kind: "unreachable" } });
    server.reply = () => streamOf([contentChunk("ars.", "stop")]);
    playground.goOn();
    expect((await untilIdle(playground)).text).toBe("Two stars.");
  });
});

test("a server that cannot be reached is not shown as ready, until it answers again", async () => {
  const { playground, server } = makePlayground();
  await playground.start(undefined);
  const { reply } = server;
  server.reply = () => Promise.reject(new TypeError("fetch failed"));
  playground.send("One?", []);
  await untilIdle(playground);
  expect(playground.state.server).toMatchObject({ type: "problem", problem: { kind: "unreachable" } });
  server.reply = reply;
  playground.send("Two?", []);

  await expect.poll(() => playground.state.server.type).toBe("ready");
});

test("a server that is away is found again when it is back, and left alone then", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const answers = [new TypeError("fetch failed"), new TypeError("fetch failed"), { data: [{ id: "nano" }] }];
  const asked = vi.fn(() => {
    const answer = answers.shift()!;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(Response.json(answer));
  });
  const playground = new Playground({
    store: memoryStore(),
    connection: () => ({ fetch: asked as unknown as typeof fetch, key: "" }),
    now: () => 0,
    createId: () => "id",
    cutPicture: cutsNothing,
  });
  await playground.start(undefined);
  expect(playground.state.server.type).toBe("problem");
  await vi.advanceTimersByTimeAsync(60_000);

  expect(playground.state.server.type).toBe("ready");
  expect(asked).toHaveBeenCalledTimes(3);
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

test("files that do not fit into a request are not sent, the earlier ones of the conversation included", async () => {
  const { playground, asked } = makePlayground();
  const half = makeAttachment({ kind: "document", url: `data:text/plain;base64,${"A".repeat(maxRequestBytes / 2)}` });
  expect(playground.send("One?", [half, half])).toBe("too-large");
  expect(playground.send("One?", [half])).toBe(undefined);
  await untilIdle(playground);
  const { conversation } = playground.state;

  expect(playground.send("Two?", [half])).toBe("too-large");
  expect(playground.edit(conversation.turns[0]!.id, "One?", [half, half])).toBe("too-large");
  expect(playground.state.conversation).toEqual(conversation);
  expect(playground.edit(conversation.turns[0]!.id, "Two?", [half])).toBe(undefined);
  await untilIdle(playground);
  expect(asked).toHaveLength(2);
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
