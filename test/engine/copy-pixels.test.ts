// How pixels get ready for the engine.

import { expect, test } from "vitest";
import { copyPixels } from "../../src/engine/copy-pixels.ts";
import { makeRequest } from "./fake-model.ts";

const mebibyte = 2 ** 20;

/** Each picture's pixels are all of its own number, from 1 on. */
function promptWith(...byteLengths: readonly number[]) {
  const { prompt } = makeRequest(byteLengths.map((_, index) => `picture ${index}`));
  const pixels = byteLengths.map((length, index) => new Uint8Array(length).fill(index + 1));
  return {
    pixels,
    prompt: { ...prompt, spans: prompt.spans.map((span, i) => ({ ...span, image: { ...span.image, patches: pixels[i]! } })) },
  };
}

/** How often others have their turns until this is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let isDone = false;
  let turns = 0;
  const count = (): void => {
    if (isDone) return;
    turns++;
    setImmediate(count);
  };
  setImmediate(count);
  await work;
  isDone = true;
  return turns;
}

test.each([[[1000]], [[4 * mebibyte]], [[9 * mebibyte + 7]], [[0, 3 * mebibyte, 3 * mebibyte, 5]]])(
  "pixels of %j bytes arrive whole, in memory of their own",
  async (byteLengths) => {
    const { prompt, pixels } = promptWith(...byteLengths);
    const copied = (await copyPixels(prompt, () => true))!;

    expect(copied.prompt.spans.map(({ image }, i) => Buffer.compare(image.patches, pixels[i]!))).toEqual(byteLengths.map(() => 0));
    expect(copied.own).toEqual(copied.prompt.spans.map(({ image }) => image.patches.buffer));
    structuredClone(copied.prompt, { transfer: [...copied.own] });
    expect(pixels.map(({ length }) => length)).toEqual(byteLengths); // they can be sent again
  },
);

test("a picture that occurs twice is copied once", async () => {
  const { prompt } = promptWith(10, 10);
  const [first, second] = prompt.spans;
  const copied = (await copyPixels({ ...prompt, spans: [first!, { ...second!, image: first!.image }] }, () => true))!;

  expect(copied.own).toHaveLength(1);
  expect(copied.prompt.spans[0]!.image.patches).toBe(copied.prompt.spans[1]!.image.patches);
});

test("while a film is copied, others have their turns", async () => {
  expect(await turnsDuring(copyPixels(promptWith(64 * mebibyte).prompt, () => true))).toBeGreaterThanOrEqual(10);
});

test("nothing more is copied of what nobody wants any more", async () => {
  let looks = 0;
  const copied = await copyPixels(promptWith(64 * mebibyte).prompt, () => ++looks < 3);

  expect([copied, looks]).toEqual([undefined, 3]);
});
