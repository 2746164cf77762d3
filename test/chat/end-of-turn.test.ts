// The tokens that end an answer, even if the JSON files of a checkpoint do not list them.

import { expect, test } from "vitest";
import { loadTokenizer } from "../../src/chat/tokenizer.ts";
import type { ChatEvent } from "../../src/core/events.ts";
import { greedy } from "../../src/core/sampling.ts";
import { FakeEngine } from "./fake-engine.ts";
import { makeChat, makeService, nanoFolder, nanoTokens } from "./nano.ts";

test("an answer ends where a turn ends, even where no file says that answers do", async () => {
  const tokenizer = loadTokenizer(nanoFolder);
  const turnEnd = tokenizer.controlTokenId("<|end_of_sentence|>")!;
  const engine = new FakeEngine([...tokenizer.encodeText("A cat."), turnEnd]);
  const service = makeService(engine, { config: { tokens: { ...nanoTokens, eos: [2] } } });

  const events: ChatEvent[] = [];
  const options = { sampling: greedy, maxTokens: undefined, stopStrings: [] };
  for await (const event of service.complete(makeChat("What is it?"), options, new AbortController().signal)) events.push(event);

  expect(events.map((event) => (event.type === "content" ? event.text : "")).join("")).toBe("A cat.");
  expect(engine.requests[0]!.stopTokenIds).toEqual([2, turnEnd]);
});
