// The fake GPU has to notice what a real one would answer with a crash, or with wrong numbers.

import { expect, test } from "vitest";
import { DeviceLostError } from "../../src/core/errors.ts";
import { CudaDevice } from "../../src/runtime/cuda/cuda-device.ts";
import { CudaError, type Cudart } from "../../src/runtime/cuda/cudart.ts";
import type { Memory } from "../../src/runtime/device.ts";
import { Mirror } from "../../src/runtime/mirror.ts";
import { FakeCuda } from "./fake-cuda.ts";

function makeDevice(isLate = true): { cuda: FakeCuda; cudart: Cudart; device: CudaDevice } {
  const cuda = new FakeCuda({ isLate });
  return { cuda, cudart: cuda.libraries.cudart, device: new CudaDevice(cuda.libraries) };
}

const at = (memory: Memory, offset = 0) => ({ memory, offset });

const mistakes: [string, (device: CudaDevice, cudart: Cudart) => void, RegExp][] = [
  ["freeing twice", (device) => [1, 2].forEach(twice(device.allocate(512))), /device memory freed twice/],
  ["freeing what is not its own", (_, cudart) => cudart.free(4096n), /free of an unknown device address/],
  ["freeing pinned as device memory", (device, cudart) => cudart.free(device.allocateHost(512).address), /pinned memory freed as device/],
  [
    "copying from freed memory",
    (device) => {
      const [from, to] = [device.allocate(512), device.allocate(512)];
      from.dispose();
      device.copy(at(to), at(from), 512);
    },
    /use of freed device memory/,
  ],
  [
    "copying beyond the end",
    (device, cudart) => cudart.memcpyAsync(device.allocate(512).address, device.allocate(1024).address, 513, "onDevice", device.stream),
    /513 bytes reach beyond device memory/,
  ],
  [
    "copying in the wrong direction",
    (device, cudart) => cudart.memcpyAsync(device.allocate(512).address, device.allocate(512).address, 512, "upload", device.stream),
    /upload from what is not pinned memory/,
  ],
  [
    "freeing what a queued copy reads",
    (device) => {
      const from = device.allocateHost(512);
      device.copy(at(device.allocate(512)), at(from), 512);
      from.dispose();
    },
    /pinned memory freed before upload that uses it/,
  ],
  ["copying on an unknown stream", (device, cudart) => cudart.zeroAsync(device.allocate(512).address, 512, 1n), /unknown stream 1/],
  [
    "ending the stream with work in it",
    (device) => {
      device.zero(device.allocate(512));
      device.dispose();
    },
    /stream destroyed before memset/,
  ],
];

function twice(memory: Memory): () => void {
  return () => memory.dispose();
}

test.each(mistakes)("%s is noticed", (_, makeMistake, expected) => {
  const { cuda, cudart, device } = makeDevice();

  expect(() => makeMistake(device, cudart)).toThrow(expected);
  expect(cuda.violations).toHaveLength(1);
  cuda.dispose();
});

test("what is allocated and never freed shows as a leak, the stream too", () => {
  const { cuda, device } = makeDevice();
  device.allocate(1000);
  device.allocateHost(300).dispose();

  expect(cuda.live).toEqual(["1000 bytes device", "stream"]);
  cuda.dispose();
});

test("a download is not there before the device has been synchronized", () => {
  const { cuda, device } = makeDevice();
  const [up, down] = [new Mirror(device, 256), new Mirror(device, 256)];
  new Uint8Array(up.host.bytes).fill(7);
  up.upload(256);
  device.copy(at(down.device), at(up.device), 256);
  down.download(256);
  const before = new Uint8Array(down.host.bytes)[0];
  device.synchronize();

  expect([before, new Uint8Array(down.host.bytes)[0]]).toEqual([0xff, 7]);
  for (const mirror of [up, down]) mirror.dispose();
  device.dispose();
  expect(cuda.live).toEqual([]);
  cuda.dispose();
});

test("host memory that is written again before the synchronization reaches the device with what was written last", () => {
  const { cuda, device } = makeDevice();
  const mirror = new Mirror(device, 256);
  const bytes = new Uint8Array(mirror.host.bytes);
  bytes.fill(1);
  mirror.upload(256);
  bytes.fill(2);
  mirror.download(256);
  device.synchronize();

  expect(bytes[0]).toBe(2);
  cuda.dispose();
});

test("a copy beyond the end of a piece of memory is refused before CUDA sees it", () => {
  const { cuda, device } = makeDevice();
  const memory = device.allocate(1024);

  expect(() => device.copy(at(memory, 512), at(memory), 513)).toThrow(/513 bytes at 512 do not lie in 1024/);
  expect(() => device.copyRows({ ...at(memory), pitch: 600 }, { ...at(memory), pitch: 100 }, 500, 2)).toThrow(/do not lie in 1024/);
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

test("an allocation that fails says how much was wanted and how much is free", () => {
  const { cuda, cudart } = makeDevice();
  cuda.failingAllocation = 0;

  expect(() => cudart.malloc(3 * 2 ** 30)).toThrow(/^cudaMalloc: cudaErrorMemoryAllocation \(2\): 3\.0 GiB wanted, 8\.0 GiB of 8\.0 GiB/);
  cuda.dispose();
});

const failures: [number, typeof CudaError | typeof DeviceLostError, RegExp][] = [
  [1, CudaError, /^cudaStreamSynchronize: cudaErrorInvalidValue \(1\)$/],
  [700, DeviceLostError, /^the GPU has failed: cudaStreamSynchronize: cudaErrorIllegalAddress \(700\)$/],
  [12345, CudaError, /^cudaStreamSynchronize: CUDA error \(12345\)$/],
];
test.each(failures)("code %i of a function becomes the error that it stands for", (code, kind, message) => {
  const { cuda, device } = makeDevice();
  cuda.cudaStreamSynchronize = () => code;

  expect(() => device.synchronize()).toThrow(kind);
  expect(() => device.synchronize()).toThrow(message);
  cuda.dispose();
});
