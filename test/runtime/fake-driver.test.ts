// What the fake GPU has to notice about memory that is put to addresses, and what runs may be bound to.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { expect, test } from "vitest";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { groupQueryAttention } from "../../src/convert/onnx/microsoft-ops.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { DeviceLostError } from "../../src/core/errors.ts";
import { CudaDevice } from "../../src/runtime/cuda/cuda-device.ts";
import { cudaErrorCodes } from "../../src/runtime/cuda/cudart.ts";
import type { CudaDriver } from "../../src/runtime/cuda/driver.ts";
import type { Place } from "../../src/runtime/device.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { FakeCudaApi } from "./fake-cuda-api.ts";
import { FakeCuda } from "./fake-cuda.ts";

const page = 16_384;

type Setup = { readonly cuda: FakeCuda; readonly driver: CudaDriver; readonly device: CudaDevice; readonly address: bigint };

/** Eight pages of addresses; nothing lies there. */
function setUp(): Setup {
  const cuda = new FakeCuda();
  const { driver } = cuda.libraries;
  return { cuda, driver, device: new CudaDevice(cuda.libraries), address: driver.memAddressReserve(8 * page) };
}

function mapPage(driver: CudaDriver, address: bigint): number | bigint {
  const memory = driver.memCreate(page, 0);
  driver.memMap(address, page, memory);
  return memory;
}

const mistakes: [string, (setup: Setup) => void, RegExp][] = [
  [
    "mapping twice at one address",
    ({ driver, address }) => [0, 1].forEach(() => mapPage(driver, address)),
    /memory mapped where there is some already/,
  ],
  ["mapping where nothing is reserved", ({ driver }) => mapPage(driver, 0x1000n), /mapping at addresses that are not reserved/],
  ["mapping in the middle of a page", ({ driver, address }) => mapPage(driver, address + 4096n), /mapping of parts of pages/],
  ["mapping memory that does not exist", ({ driver, address }) => driver.memMap(address, page, 7), /mapping of memory that does not exist/],
  ["unmapping what is not mapped", ({ driver, address }) => driver.memUnmap(address, page), /unmapping of addresses without memory/],
  [
    "unmapping across a hole",
    ({ driver, address }) => {
      mapPage(driver, address);
      driver.memUnmap(address, 2 * page);
    },
    /unmapping of addresses without memory/,
  ],
  ["access to what is not mapped", ({ driver, address }) => driver.memSetAccess(address, page, 0), /access to addresses without memory/],
  ["access for another device", ({ driver, address }) => driver.memSetAccess(address, page, 1), /access 1,1,3/],
  ["memory on another device", ({ driver }) => driver.memCreate(page, 1), /properties of memory 1,0,1,1/],
  [
    "releasing memory that is mapped",
    ({ driver, address }) => driver.memRelease(mapPage(driver, address)),
    /memory released that lies at an address/,
  ],
  [
    "releasing twice",
    ({ driver }) => {
      const memory = driver.memCreate(page, 0);
      [0, 1].forEach(() => driver.memRelease(memory));
    },
    /release of memory that does not exist/,
  ],
  [
    "freeing addresses that have memory",
    ({ driver, address }) => {
      mapPage(driver, address);
      driver.memAddressFree(address, 8 * page);
    },
    /addresses freed that have memory/,
  ],
  [
    "freeing some of the addresses",
    ({ driver, address }) => driver.memAddressFree(address, page),
    /free of addresses that were not reserved so/,
  ],
  [
    "freeing addresses twice",
    ({ driver, address }) => [0, 1].forEach(() => driver.memAddressFree(address, 8 * page)),
    /addresses freed twice/,
  ],
  [
    "filling addresses without memory",
    ({ cuda, device, address }) => cuda.libraries.cudart.zeroAsync(address, page, device.stream),
    /use of addresses without memory/,
  ],
  [
    "filling memory without access",
    ({ cuda, driver, device, address }) => {
      mapPage(driver, address);
      cuda.libraries.cudart.zeroAsync(address, page, device.stream);
    },
    /use of memory without access/,
  ],
  [
    "filling more than is mapped",
    ({ cuda, driver, device, address }) => {
      mapPage(driver, address);
      driver.memSetAccess(address, page, 0);
      cuda.libraries.cudart.zeroAsync(address, page + 1, device.stream);
    },
    /use of addresses without memory/,
  ],
  [
    "unmapping what queued work uses",
    ({ cuda, driver, device, address }) => {
      mapPage(driver, address);
      driver.memSetAccess(address, page, 0);
      cuda.libraries.cudart.zeroAsync(address, page, device.stream);
      driver.memUnmap(address, page);
    },
    /memory unmapped before memset that uses it/,
  ],
  [
    "a run that reads addresses without memory",
    ({ cuda, address }) => {
      new Uint8Array(koffi.view(address + BigInt(5 * page), 1)).at(0);
      cuda.driver.checkUntouched();
    },
    /use of addresses without memory by a run, at 81920 of 131072/,
  ],
];

test.each(mistakes)("%s is noticed", (_, makeMistake, expected) => {
  const setup = setUp();

  expect(() => makeMistake(setup)).toThrow(expected);
  expect(setup.cuda.violations).toHaveLength(1);
  setup.cuda.dispose();
});

test("rows may be copied whose ends lie on both sides of addresses without memory", () => {
  const { cuda, device } = setUp();
  const reservation = device.reserve(8 * page, 4 * page);
  for (const unit of [0, 2, 4, 6]) reservation.commit(unit * page, page);
  const place = (offset: number) => ({ memory: reservation, offset, pitch: 2 * page });
  device.copyRows(place(4 * page), place(0), page, 2);
  device.synchronize();

  expect(() => device.copyRows(place(4 * page), place(0), page + 1, 2)).toThrow(/use of addresses without memory/);
  expect(cuda.violations).toHaveLength(1);
  cuda.dispose();
});

test("rows are copied one by one where a driver refuses them together, and a failed device is not asked again", () => {
  const { cuda, device } = setUp();
  const reservation = device.reserve(8 * page, 4 * page);
  for (const unit of [0, 2, 4, 6]) reservation.commit(unit * page, page);
  const host = device.allocateHost(page);
  const bytes = new Uint8Array(host.bytes);
  const unitAt = (unit: number) => ({ memory: reservation, offset: unit * page });
  const onHost = { memory: host, offset: 0 };
  for (const unit of [0, 2]) {
    bytes.fill(1 + unit);
    device.copy(unitAt(unit), onHost, page);
    device.synchronize();
  }
  const copyRows = () => device.copyRows({ ...unitAt(4), pitch: 2 * page }, { ...unitAt(0), pitch: 2 * page }, page, 2);
  cuda.cudaMemcpy2DAsync = () => cudaErrorCodes.cudaErrorInvalidValue;
  copyRows();

  for (const unit of [4, 6]) {
    device.copy(onHost, unitAt(unit), page);
    device.synchronize();
    expect(bytes.every((byte) => byte === unit - 3)).toBe(true);
  }
  cuda.cudaMemcpy2DAsync = () => cudaErrorCodes.cudaErrorIllegalAddress;
  cuda.takeCounts();
  expect(copyRows).toThrow(DeviceLostError);
  expect(cuda.takeCounts().onDevice).toBe(0);
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

/** Attention over a cache of one slot and one head whose tokens take 256 bytes: 64 of them are a page. */
function openAttention(runtime: Runtime) {
  const headDim = 64;
  const g = new Graph();
  const qkv = g.input("qkv", "float32", [1, "sequence", 3 * headDim]);
  const cache = (name: string) => g.input(name, "float32", [1, 1, "capacity", headDim]);
  const lengths = { seqlensK: g.input("seqlens_k", "int32", [1]), total: g.input("total", "int32", []) };
  const { attended, presentKey, presentValue } = groupQueryAttention(
    g,
    [qkv],
    { pastKey: cache("past_key"), pastValue: cache("past_value"), presentKey: "present_key", presentValue: "present_value" },
    lengths,
    { query: 1, kv: 1 },
  );
  for (const value of [attended, presentKey, presentValue]) g.directOutput(value);
  const folder = mkdtempSync(join(tmpdir(), "fake-driver-"));
  writeFileSync(join(folder, "attention.onnx"), encodeModel(g, "none", "attention"));
  const session = runtime.openSession(join(folder, "attention.onnx"), { threadCount: 1 });
  rmSync(folder, { recursive: true });
  return { headDim, session };
}

test.each([
  [63, undefined],
  [64, undefined],
  [65, /use of addresses without memory by a run, at 16384 of 131072/],
])("a run may be bound to addresses without memory, but not with %i tokens use more than the page that is there", (length, expected) => {
  const cuda = new FakeCuda();
  const runtime = new Runtime(new FakeCudaApi(cuda), cuda.libraries);
  const { headDim, session } = openAttention(runtime);
  const { device } = runtime;
  const binding = session.createBinding();
  const tensor = (place: Place, dtype: "float32" | "int32", shape: readonly number[]) =>
    runtime.createTensor(place.memory, dtype, shape, place.offset);
  const numbers = device.allocateHost(256);
  new Int32Array(numbers.bytes).set([length - 1, length]);
  const lengths = device.allocate(256);
  device.copy({ memory: lengths, offset: 0 }, { memory: numbers, offset: 0 }, 4);
  binding.input("seqlens_k", tensor({ memory: lengths, offset: 0 }, "int32", [1]));
  binding.input("total", tensor({ memory: numbers, offset: 4 }, "int32", []));
  for (const name of ["key", "value"]) {
    const slot = device.reserve(8 * page, page);
    slot.commit(0, page);
    const cache = tensor({ memory: slot, offset: 0 }, "float32", [1, 1, 512, headDim]);
    binding.input(`past_${name}`, cache);
    binding.output(`present_${name}`, cache);
  }
  const [qkv, attended] = [device.allocate(4 * length * 3 * headDim), device.allocate(4 * length * headDim)];
  device.zero(qkv);
  binding.input("qkv", tensor({ memory: qkv, offset: 0 }, "float32", [1, length, 3 * headDim]));
  binding.output("attended", tensor({ memory: attended, offset: 0 }, "float32", [1, length, headDim]));
  binding.run();

  if (expected) expect(() => device.synchronize()).toThrow(expected);
  else expect(() => device.synchronize()).not.toThrow();
  cuda.dispose();
});
