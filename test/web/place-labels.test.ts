import { expect, test } from "vitest";
import type { Box, Place } from "../../web/chat/boxes.ts";
import { labelPlaces, type PlaceLabel } from "../../web/chat/place-labels.ts";

const size = { width: 400, height: 200 };
const type = { measure: (text: string) => text.length * 8, height: 16, gap: 6 };
const place = (box: Box, label = "cat", kind: Place["kind"] = "box"): Place => ({ kind, label, box, isCut: false, picture: undefined });
const label = (places: readonly Place[], picture = size) => labelPlaces(places, [...places.keys()], picture, type);

/** What is seen of labels that lie over each other or beyond the edge. */
function faultsOf(labels: readonly PlaceLabel[], picture = size) {
  const right = ({ left, text }: PlaceLabel) => left + type.measure(text);
  const beyond = labels.filter((one) => one.left < 0 || one.top < 0 || right(one) > picture.width || one.top + 16 > picture.height);
  const over = labels.filter((one, i) =>
    labels.slice(0, i).some((other) => one.left < right(other) && other.left < right(one) && Math.abs(one.top - other.top) < 16),
  );
  return [...beyond, ...over];
}

test("a label stands in its box's upper left corner, and beside a point", () => {
  const labels = label([place([100, 100, 500, 900]), place([750, 500, 750, 500], "", "point")]);

  expect(labels).toEqual([
    { text: "1 cat", left: 46, top: 26 },
    { text: "2", left: 312, top: 92 },
  ]);
});

test("boxes over each other have their labels in different corners", () => {
  const labels = label(Array.from({ length: 4 }, () => place([100, 100, 900, 900])));

  expect(labels.map(({ text }) => text)).toEqual(["1 cat", "2 cat", "3 cat", "4 cat"]);
  expect(faultsOf(labels)).toEqual([]);
});

test("labels at the edges and corners of the picture are whole", () => {
  const boxes: Box[] = [
    [999, 3, 999, 3],
    [0, 990, 30, 1000],
    [990, 990, 1000, 1000],
    [0, 0, 5, 5],
    [200, 200, 800, 800],
  ];
  const labels = label(boxes.map((box) => place(box, "an animal", box[0] === box[2] ? "point" : "box")));

  expect(labels).toHaveLength(5);
  expect(faultsOf(labels)).toEqual([]);
});

test("where there is no room for words there is a number, and where there is none for that nothing", () => {
  const picture = { width: 39, height: 80 };
  const labels = label(
    Array.from({ length: 30 }, () => place([0, 0, 1000, 1000])),
    picture,
  );

  expect(labels.map(({ text }) => text).slice(0, 3)).toEqual(["1", "2", "3"]);
  expect(labels.length).toBeLessThan(30);
  expect(faultsOf(labels, picture)).toEqual([]);
});

test("a long label is cut between characters", () => {
  const [first] = labelPlaces([place([0, 0, 1000, 1000], "🚚".repeat(40))], [0], { width: 4000, height: 200 }, type);

  expect(first!.text).toBe(`1 ${"🚚".repeat(26)}…`);
});
