import { expect, test } from "vitest";
import { Binding } from "../../src/runtime/session.ts";
import type { OrtApi } from "../../src/runtime/ort-api.ts";
import type { Tensor } from "../../src/runtime/runtime.ts";

function makeBinding() {
  const calls: string[] = [];
  const api = { call: (name: string, _: bigint, input: string, value: bigint) => calls.push(`${name} ${input} ${value}`) };
  const binding = new Binding(api as unknown as OrtApi, 1n, (graphId) => calls.push(`run ${graphId ?? "eagerly"}`));
  return { binding, calls };
}

const tensor = (value: bigint): Tensor => ({ dtype: "float32", shape: [], value });

test("a tensor that is bound already is not bound again", () => {
  const { binding, calls } = makeBinding();
  const [first, second] = [tensor(1n), tensor(2n)];

  for (const next of [first, first, second, first]) binding.input("x", next);

  expect(calls).toEqual(["BindInput x 1", "BindInput x 2", "BindInput x 1"]);
});

test("once a graph has been recorded nothing else can be bound, and no other graph be run", () => {
  const { binding, calls } = makeBinding();
  const bound = tensor(1n);
  binding.output("y", bound);
  binding.runAsGraph(3);
  binding.output("y", bound);
  binding.runAsGraph(3);

  expect(() => binding.output("y", tensor(2n))).toThrow(/y cannot be bound anew: graph 3 has been captured/);
  expect(() => binding.input("x", tensor(2n))).toThrow(/x cannot be bound anew/);
  expect(() => binding.runAsGraph(4)).toThrow(/captured as graph 3 cannot run as graph 4/);
  expect(() => binding.run()).toThrow(/runs as its graph/);
  expect(calls).toEqual(["BindOutput y 1", "run 3", "run 3"]);
});
