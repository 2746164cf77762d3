import { expect, test } from "vitest";
import { FeatureCache } from "../../src/model/feature-cache.ts";
import { DeviceBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { FakeCudaApi } from "../runtime/fake-cuda-api.ts";
import { FakeCuda } from "../runtime/fake-cuda.ts";

function makeCache(maxBytes: number) {
  const cuda = new FakeCuda();
  const runtime = new Runtime(new FakeCudaApi(cuda), cuda.libraries);
  const cache = new FeatureCache(maxBytes);
  const add = (hash: string, bytes: number) => {
    cache.makeRoom(bytes);
    cache.add(hash, DeviceBuffer.allocate(runtime, "uint8", bytes));
  };
  const held = () => ["a", "b", "c", "d"].filter((hash) => cache.has(hash));
  return { cuda, cache, add, held };
}

test("features that were not asked for longest make room, and their memory is freed", () => {
  const { cuda, cache, add, held } = makeCache(3000);
  add("a", 1000);
  add("b", 1000);
  add("c", 1000);
  cache.get("a");
  add("d", 1500);

  expect(held()).toEqual(["a", "d"]);
  expect(cuda.live).toEqual(["1000 bytes device", "1500 bytes device", "stream"]);
  cache.dispose();
  expect(cuda.live).toEqual(["stream"]);
  cuda.dispose();
});

test("room is made before the memory for new features is taken, so that the limit holds at any time", () => {
  const { cuda, cache, add, held } = makeCache(3000);
  add("a", 1000);
  add("b", 2000);

  cache.makeRoom(500);

  expect(held()).toEqual(["b"]);
  expect(cuda.live).toEqual(["2000 bytes device", "stream"]);
  cache.dispose();
  cuda.dispose();
});

test("features larger than the whole cache stay until the next ones come", () => {
  const { cuda, add, held } = makeCache(3000);
  add("a", 1000);
  add("b", 5000);
  expect(held()).toEqual(["b"]);
  add("c", 1000);

  expect(held()).toEqual(["c"]);
  expect(cuda.live).toEqual(["1000 bytes device", "stream"]);
  cuda.dispose();
});
