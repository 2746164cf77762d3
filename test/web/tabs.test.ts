// One conversation in two tabs of a browser: each follows the other, and no turn is lost.

import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type AnswerTurn, type Conversation, mergeConversations, newConversation } from "../../web/chat/conversation.ts";
import type { Playground } from "../../web/chat/playground.ts";
import { linkTabs, makePlayground, type Reply, silent, untilIdle } from "./make-playground.ts";
import { contentChunk, makeAnswer, makeUserTurn, streamOf } from "./make-turns.ts";

/** A reply that is given by hand. */
function heldBack() {
  const held: ((text: string) => void)[] = [];
  const reply: Reply = () => new Promise((resolve) => held.push((text) => resolve(streamOf([contentChunk(text, "stop")]))));
  return { reply, answer: (text: string) => held.shift()!(text) };
}

/** Two tabs that show a conversation of one question and its answer. */
async function openTwice(...replies: [Reply, Reply]) {
  const tabs = linkTabs();
  const [one, other] = replies.map(() => makePlayground(undefined, tabs)) as [
    ReturnType<typeof makePlayground>,
    ReturnType<typeof makePlayground>,
  ];
  one.playground.send("One?", []);
  await untilIdle(one.playground);
  const { id } = one.playground.state.conversation;
  await expect.poll(async () => (await one.store.load(id))?.turns[1]).toMatchObject({ state: "done" });
  await other.playground.start(id);
  [one.server.reply, other.server.reply] = replies;
  return { one, other, id };
}

const wordsOf = ({ state }: Playground) => textsOf(state.conversation);
const textsOf = ({ turns }: Conversation) => turns.map((turn) => (turn.type === "answer" ? `${turn.state}: ${turn.text}` : turn.text));
const firstTurns = ["One?", "done: Two stars."];

describe("another tab", () => {
  test("sees a question and its answer as they come, and what is set there stays", async () => {
    const { reply, answer } = heldBack();
    const { one, other } = await openTwice(reply, silent);
    other.playground.change({ system: "Be brief." });
    one.playground.send("Two?", []);
    await expect.poll(() => wordsOf(other.playground)).toEqual([...firstTurns, "Two?", "running: "]);
    answer("Three.");

    await expect.poll(() => wordsOf(other.playground)).toEqual([...firstTurns, "Two?", "done: Three."]);
    expect(other.playground.state.conversation.settings.system).toBe("Be brief.");
  });

  test("sees the words that have come, and can stop the answer, but ask nothing meanwhile", async () => {
    const stream: Reply = (_, signal) =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(contentChunk("Thr"))}\n\n`));
            signal.addEventListener("abort", () => controller.error(signal.reason));
          },
        }),
      );
    const { one, other } = await openTwice(stream, silent);
    one.playground.send("Two?", []);
    await expect.poll(() => wordsOf(other.playground)).toEqual([...firstTurns, "Two?", "running: Thr"]);
    other.playground.send("Three?", []);
    expect(other.asked).toEqual([]);
    other.playground.stop();

    await expect.poll(() => wordsOf(other.playground)).toEqual([...firstTurns, "Two?", "stopped: Thr"]);
    expect(wordsOf(one.playground)).toEqual(wordsOf(other.playground));
  });

  test("that is opened in the middle of an answer sees it go on", async () => {
    const { one, other, id } = await openTwice(silent, silent);
    other.playground.startNew();
    one.playground.send("Two?", []);
    await expect.poll(async () => (await one.store.load(id))!.turns.length).toBe(4);
    await other.playground.open(id);

    await expect.poll(() => wordsOf(other.playground).at(-1)).toBe("running: ");
    one.playground.stop();
    await expect.poll(() => wordsOf(other.playground).at(-1)).toBe("stopped: ");
  });

  test("calls an answer stopped whose tab is heard no more", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const tabs = linkTabs();
    const { playground, store } = makePlayground(undefined, tabs);
    const gone = tabs.open();
    const turns = [makeUserTurn(), makeAnswer({ state: "running", text: "Thr" })];
    playground.send("One?", []);
    await vi.advanceTimersByTimeAsync(100);
    await gone.save({ ...(await store.load(playground.state.conversation.id))!, turns });
    await vi.advanceTimersByTimeAsync(2000);
    expect(wordsOf(playground).at(-1)).toBe("running: Thr");
    await vi.advanceTimersByTimeAsync(3000);

    expect(wordsOf(playground).at(-1)).toBe("stopped: Thr");
  });

  test("does not see again what was answered anew or edited here", async () => {
    const { one, other } = await openTwice(() => streamOf([contentChunk("Four.", "stop")]), silent);
    one.playground.regenerate(one.playground.state.conversation.turns[1]!.id);
    await expect.poll(() => wordsOf(other.playground)).toEqual(["One?", "done: Four."]);
    one.playground.edit(one.playground.state.conversation.turns[0]!.id, "Two?", []);
    await expect.poll(() => wordsOf(other.playground)).toEqual(["Two?", "done: Four."]);
    await other.playground.keepChanges();

    expect(wordsOf(one.playground)).toEqual(["Two?", "done: Four."]);
  });

  test("shows a new name, and nothing of what was deleted", async () => {
    const { one, other, id } = await openTwice(silent, silent);
    await one.playground.rename(id, "Stars");
    await expect.poll(() => other.playground.state.conversation.title).toBe("Stars");
    expect(other.playground.state.summaries).toMatchObject([{ title: "Stars" }]);
    await one.playground.remove(id);

    await expect.poll(() => [wordsOf(other.playground), other.playground.state.summaries]).toEqual([[], []]);
  });
});

test("when both tabs ask at the same moment, both have both answers in the end", async () => {
  const [first, second] = [heldBack(), heldBack()];
  const { one, other, id } = await openTwice(first.reply, second.reply);
  one.playground.send("Two?", []);
  other.playground.send("Three?", []);
  await expect.poll(() => [one.asked.length, other.asked.length]).toEqual([2, 1]);
  first.answer("Four.");
  second.answer("Five.");
  const texts = [...firstTurns, "Two?", "done: Four.", "Three?", "done: Five."];

  await expect
    .poll(() => [wordsOf(one.playground).toSorted(), wordsOf(other.playground).toSorted()])
    .toEqual([texts.toSorted(), texts.toSorted()]);
  await expect.poll(async () => textsOf((await one.store.load(id))!).toSorted()).toEqual(texts.toSorted());
});

test("what one tab wrote over in its last moment, the other keeps once more", async () => {
  const { one, other, id } = await openTwice(() => streamOf([contentChunk("Three.", "stop")]), silent);
  const before = await one.store.load(id);
  one.playground.send("Two?", []);
  await untilIdle(one.playground);
  await expect.poll(() => wordsOf(other.playground)).toHaveLength(4);
  await one.store.remove(id);
  await one.store.save(before!); // without what the playgrounds know
  other.store.tell({ type: "changed", id });

  await expect.poll(async () => textsOf((await one.store.load(id))!)).toEqual([...firstTurns, "Two?", "done: Three."]);
});

const answers = fc
  .record({
    id: fc.constantFrom("a", "b", "c", "d"),
    state: fc.constantFrom<AnswerTurn["state"][]>("running", "stopped", "failed", "done"),
    text: fc.string({ maxLength: 5 }),
  })
  .map(makeAnswer);
const conversations = fc
  .record({
    turns: fc.uniqueArray(answers, { selector: ({ id }) => id }),
    replaced: fc.uniqueArray(fc.constantFrom<string[]>("a", "b", "c", "d")),
  })
  .map((fields) => ({ ...newConversation("one", 0), ...fields, turns: fields.turns.filter(({ id }) => !fields.replaced.includes(id)) }));
const idsOf = ({ turns }: Conversation) => turns.map(({ id }) => id).toSorted();

test("merged conversations have each turn that either has and neither replaced, once, and merging again changes nothing", () => {
  fc.assert(
    fc.property(conversations, conversations, (one, other) => {
      const merged = mergeConversations(one, other);
      const all = new Set([...idsOf(one), ...idsOf(other)].filter((id) => ![...one.replaced, ...other.replaced].includes(id)));

      expect(idsOf(merged)).toEqual([...all].toSorted());
      expect(idsOf(mergeConversations(other, one))).toEqual(idsOf(merged));
      expect(mergeConversations(merged, one).turns).toEqual(merged.turns);
      expect(mergeConversations(merged, other).turns).toEqual(merged.turns);
    }),
  );
});
