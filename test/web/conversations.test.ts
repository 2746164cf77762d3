// How conversations are kept, found again, and shared between tabs.

import { describe, expect, test } from "vitest";
import { type AnswerTurn, exportName } from "../../web/chat/conversation.ts";
import { Playground } from "../../web/chat/playground.ts";
import { defaultSettings } from "../../web/chat/settings.ts";
import { cutsNothing, makePlayground, models, silent, untilIdle } from "./make-playground.ts";
import { contentChunk, streamOf } from "./make-turns.ts";

test.each([
  ["What is 3 / 4?", "What-is-3-4.json"],
  ["…/../hosts", "hosts.json"],
  ["हिन्दी, 中文", "हिन्दी-中文.json"],
  ["🦊?", "conversation.json"],
])("%s is exported as %s", (title, name) => {
  expect(exportName(title)).toBe(name);
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

  test("a new one has the user's settings, not those that an example brought", async () => {
    const { playground, asked } = makePlayground();
    playground.change({ temperature: 0.5, format: "json" });
    playground.sendExample("What is the weather?", [], { format: "text", useTools: true, thinking: "on" });
    await untilIdle(playground);
    playground.change({ thinking: "off" }); // now the user's
    playground.startNew();

    expect(asked[0]).toMatchObject({ temperature: 0.5, tools: [{}], enable_thinking: true });
    expect(playground.state.conversation.settings).toEqual({ ...defaultSettings, temperature: 0.5, format: "json", thinking: "off" });
    playground.change({ useTools: true });
    playground.startNew();
    expect(playground.state.conversation.settings.useTools).toBe(true);
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
      cutPicture: cutsNothing,
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

  test("the one that was chosen last is shown, however long each takes to load", async () => {
    const { playground, store } = makePlayground();
    const ids: string[] = [];
    for (const text of ["One?", "Two?"]) {
      playground.startNew();
      playground.send(text, []);
      await untilIdle(playground);
      ids.push(playground.state.conversation.id);
    }
    playground.startNew();
    const { load } = store;
    store.load = async (id) => (await new Promise((resolve) => setTimeout(resolve, id === ids[0] ? 30 : 1)), load(id));
    await Promise.all([playground.open(ids[0]!), playground.open(ids[1]!)]);

    expect(playground.state.conversation.title).toBe("Two?");
    const opening = playground.open(ids[0]!);
    playground.startNew();
    await opening;
    expect(playground.state.conversation.turns).toEqual([]);
  });

  test("a message that is sent while the last conversation loads is not lost", async () => {
    const { playground, store } = makePlayground();
    await store.save({ ...playground.state.conversation, id: "old", title: "Old" });
    const start = playground.start("old");
    playground.send("New?", []);
    await start;
    await untilIdle(playground);

    expect(playground.state.conversation.title).toBe("New?");
  });

  test("settings that changed outlive a look at another, and a click on the same", async () => {
    const { playground } = makePlayground();
    playground.send("One?", []);
    await untilIdle(playground);
    const { id } = playground.state.conversation;
    playground.change({ system: "Be brief." });
    await playground.open(id);
    expect(playground.state.conversation.settings.system).toBe("Be brief.");
    playground.startNew(defaultSettings);
    await playground.open(id);

    expect(playground.state.conversation.settings.system).toBe("Be brief.");
  });

  test("what has come of an answer is kept when the page is left", async () => {
    const { playground, store } = makePlayground(
      () =>
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(contentChunk("Two"))}\n\n`)),
          }),
        ),
    );
    playground.send("What is this?", []);
    await expect.poll(() => (playground.state.conversation.turns[1] as AnswerTurn).text).toBe("Two");
    await playground.keepChanges();

    expect((await store.load(playground.state.conversation.id))!.turns[1]).toMatchObject({ text: "Two" });
  });

  test.each(["One 🙂".padStart(49, "-"), `${"-".repeat(47)}🙂🙂`])("the title of %j ends in whole characters", async (text) => {
    const { playground } = makePlayground();
    playground.send(text, []);

    expect(playground.state.conversation.title.isWellFormed()).toBe(true);
    await untilIdle(playground);
  });

  test("a browser that keeps nothing is no reason not to answer", async () => {
    const fails = () => Promise.reject(new Error("no space"));
    const playground = new Playground({
      store: { isLasting: true, list: fails, load: fails, save: fails, remove: fails, tell: () => undefined, onMessage: () => undefined },
      connection: () => ({ fetch: (async () => streamOf([contentChunk("Two stars.", "stop")])) as typeof fetch, key: "" }),
      now: () => 0,
      createId: () => String(Math.random()),
      cutPicture: cutsNothing,
    });
    playground.send("What is this?", []);

    expect(await untilIdle(playground)).toMatchObject({ state: "done", text: "Two stars." });
    expect(playground.state.keeping).toBe("failed");
  });
});
