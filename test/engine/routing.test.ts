import { expect, test } from "vitest";
import { entriesOf, type Batch, type SlotId, type StepResult } from "../../src/core/batch.ts";
import { notComputed, type SequenceRouting } from "../../src/core/routing.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { RoutingRecord } from "../../src/engine/routing-record.ts";
import { FakeModel, imageToken, makeRequest } from "./fake-model.ts";
import { count } from "./make-engine.ts";

const shape = { layers: [1, 3], expertCount: 60, topK: 2 };

/** Text token t goes to experts t and t + 1 in the first layer, and one further in the second; a picture's to 60 + its place, and to the last. */
class TellingModel extends FakeModel {
  readonly routing = shape;

  override step(batch: Batch): StepResult {
    const chosenExperts = entriesOf(batch).flatMap(({ start, tokenIds }) =>
      [...tokenIds].flatMap((id, i) => (id === imageToken ? [60 + start + i, 119, 60 + start + i, 119] : [id, id + 1, id + 1, id + 2])),
    );
    return { ...super.step(batch), chosenExperts: Int32Array.from(chosenExperts) };
  }
}

function run(engine: Engine): SequenceRouting[] {
  const routings: SequenceRouting[] = [];
  while (engine.hasWork()) {
    for (const [id, event] of engine.step()) if (event.type === "finished" && event.routing) routings[id] = event.routing;
  }
  return routings;
}

function makeEngine() {
  const engine = new Engine(new TellingModel({ nextToken: (_, drawIndex) => 20 + drawIndex }), { prefillChunkTokens: 4 });
  const submit = (id: number, content: readonly (number | string)[], options: Parameters<typeof makeRequest>[1] = {}) =>
    engine.submit(id as SequenceId, makeRequest(content, { wantsRouting: true, ...options }));
  return { engine, submit };
}

/** Counts of one layer: expert → how often, without zeros. */
function countsOf(routing: SequenceRouting | undefined, modality: "text" | "vision", layer: number): Record<number, number> {
  const row = routing![modality].counts.subarray(layer * 120, (layer + 1) * 120);
  return Object.fromEntries([...row.entries()].filter(([, times]) => times > 0));
}

test("each sequence has the choices of its own tokens, those of all prefill chunks and of decode steps", () => {
  const { engine, submit } = makeEngine();
  submit(0, [1, 2, "cat", 5, 6]);
  submit(1, count(40, 6));
  submit(2, [9], { wantsRouting: false });

  const [first, second, third] = run(engine);

  expect(first!.text.tokens).toBe(4 + 3);
  expect(first!.vision.tokens).toBe(3);
  expect(countsOf(first, "text", 0)).toEqual({ 1: 1, 2: 2, 3: 1, 5: 1, 6: 2, 7: 1, 20: 1, 21: 2, 22: 2, 23: 1 });
  expect(countsOf(first, "vision", 1)).toEqual({ 62: 1, 63: 1, 64: 1, 119: 3 });
  expect(first!.pictures).toEqual([{ frameCount: 1, patchRows: 2, patchColumns: 6, favourites: Uint8Array.of(62, 63, 64, 62, 63, 64) }]);
  expect(countsOf(second, "text", 1)).toMatchObject({ 41: 1, 42: 2, 46: 2, 47: 1, 21: 1, 22: 2 });
  expect(third).toBeUndefined();
});

test("a row whose mask is late does not shift the choices of the rows behind it", () => {
  const { engine, submit } = makeEngine();
  let askedCount = 0;
  const mask = () => (++askedCount % 2 === 0 ? undefined : Uint32Array.of(0, 0, 1 << 26, 0)); // token 90
  engine.submit(0 as SequenceId, makeRequest([1, 2]), { mask, accept() {}, close() {} });
  submit(1, [5, 6]);

  const [, second] = run(engine);

  expect(askedCount).toBeGreaterThan(4);
  expect(countsOf(second, "text", 0)).toEqual({ 5: 1, 6: 2, 7: 1, 20: 1, 21: 2, 22: 2, 23: 1 });
});

test("a prompt is computed whole beside another that begins alike, as the choices of all its tokens are wanted", () => {
  const { engine, submit } = makeEngine();
  submit(0, count(10, 40));
  submit(1, count(10, 40));

  const lengths = run(engine).map(({ text }) => text.tokens);

  expect(lengths).toEqual([40 + 3, 40 + 3]);
});

test("a sequence that has said enough ends in order, with its choices", () => {
  const { engine, submit } = makeEngine();
  submit(0, [1, 2], { maxTokens: 50 });
  engine.step();
  engine.step();

  engine.finish(0 as SequenceId);
  const [routing] = run(engine);

  expect(routing!.text.tokens).toBeLessThan(2 + 5);
  expect(() => engine.finish(0 as SequenceId)).not.toThrow(); // it has ended
});

test("pictures beyond 16,384 tokens are counted, but not told token by token", () => {
  const { prompt } = makeRequest(["big", "small"]);
  const [big, small] = prompt.spans;
  const spans = [
    { ...big!, length: 16_382 },
    { ...small!, start: 16_382, length: 3 },
  ];
  const record = new RoutingRecord(shape, spans);
  const entry = {
    slot: 0 as SlotId,
    start: 16_381,
    tokenIds: Int32Array.of(imageToken, imageToken),
    positions: new Int32Array(6),
    spans,
    draw: undefined,
  };

  record.add({ ...entry, visionExpert: Uint8Array.of(1, 1) }, Int32Array.of(70, 71, 72, 73, 80, 81, 82, 83), 0);

  const { vision, pictures } = record.take();
  expect(vision.tokens).toBe(2);
  expect(pictures[0]!.favourites!.at(16_381)).toBe(70);
  expect(pictures[0]!.favourites!.at(-1)).toBe(72);
  expect(pictures[0]!.favourites!.at(0)).toBe(notComputed);
  expect(pictures[1]!.favourites).toBeUndefined();
});

test("tokens that are computed again, because their memory went to others, count once", () => {
  const model = new TellingModel({ slotCapacity: 60, pages: { tokens: 5, count: 12 }, nextToken: (_, drawIndex) => 20 + drawIndex });
  const engine = new Engine(model, { prefillChunkTokens: 100, headroomTokens: 0 });
  engine.submit(0 as SequenceId, makeRequest(count(1, 15), { maxTokens: 40 }));
  engine.submit(1 as SequenceId, makeRequest([...count(1, 20), "cat"], { maxTokens: 20, wantsRouting: true }));

  const [, young] = run(engine);

  expect(model.log.filter((line) => line.startsWith("prefill")).length, "one was computed again").toBe(3);
  expect(young!.text.tokens).toBe(20 + 19);
  expect(young!.vision.tokens).toBe(3);
});
