// Addresses on the fake GPU that get memory page by page. Not yet run on a GPU.

import * as fc from "fast-check";
import { expect, test } from "vitest";
import { DeviceLostError } from "../../src/core/errors.ts";
import { CudaDevice } from "../../src/runtime/cuda/cuda-device.ts";
import { CudaError } from "../../src/runtime/cuda/cudart.ts";
import type { DriverFunctions } from "../../src/runtime/cuda/driver.ts";
import type { Reservation } from "../../src/runtime/device.ts";
import { FakeCuda, type FakeCudaOptions } from "./fake-cuda.ts";

const page = 16_384;

function makeDevice(options: Partial<FakeCudaOptions> = {}) {
  const cuda = new FakeCuda(options);
  return { cuda, device: new CudaDevice(cuda.libraries) };
}

function write(device: CudaDevice, reservation: Reservation, offset: number, value: number): void {
  const host = device.allocateHost(page);
  new Uint8Array(host.bytes).fill(value);
  device.copy({ memory: reservation, offset }, { memory: host, offset: 0 }, page);
  device.synchronize();
  host.dispose();
}

/** The value that all bytes of the page have. */
function read(device: CudaDevice, reservation: Reservation, offset: number): number {
  const host = device.allocateHost(page);
  device.copy({ memory: host, offset: 0 }, { memory: reservation, offset }, page);
  device.synchronize();
  const [first, ...others] = new Uint8Array(host.bytes);
  host.dispose();
  expect(others.every((value) => value === first)).toBe(true);
  return first!;
}

test("takes all of its memory at once, which is whole pages, and gives it back with the addresses", () => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(10 * page - 5, 4 * page - 1);

  expect(reservation).toMatchObject({ byteLength: 10 * page, unitBytes: page, space: "cuda" });
  expect(cuda.live).toEqual([`${10 * page} bytes reserved`, "3 pages", "stream"]);
  reservation.commit(page, 2 * page);
  device.synchronize();
  reservation.dispose();
  expect(cuda.live).toEqual(["stream"]);
  cuda.dispose();
});

test("memory is full of zeros, also when it has been used elsewhere before", () => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(8 * page, page);
  reservation.commit(0, page);
  expect(read(device, reservation, 0)).toBe(0);
  write(device, reservation, 0, 7);
  reservation.release(0, page);
  reservation.commit(5 * page, page);

  expect(read(device, reservation, 5 * page)).toBe(0);
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

test("a move takes the content along and copies nothing", () => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(8 * page, 2 * page);
  reservation.commit(page, 2 * page);
  write(device, reservation, page, 1);
  write(device, reservation, 2 * page, 2);
  cuda.takeCounts();
  reservation.move(6 * page, page, 2 * page);

  expect(cuda.takeCounts()).toMatchObject({ onDevice: 0, upload: 0, download: 0, synchronize: 1 });
  expect([6, 7].map((unit) => read(device, reservation, unit * page))).toEqual([1, 2]);
  expect(() => read(device, reservation, page)).toThrow(/use of addresses without memory/);
  cuda.dispose();
});

test("addresses may be many more than 32 bits count", () => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(2 ** 39, 2 * page);
  const far = 2 ** 39 - 2 * page;
  reservation.commit(far, 2 * page);
  write(device, reservation, far + page, 3);

  expect([0, 1].map((unit) => read(device, reservation, far + unit * page))).toEqual([0, 3]);
  reservation.dispose();
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

test("a part gets access in one call, and is unmapped in one", () => {
  const { cuda, device } = makeDevice();
  const calls: string[] = [];
  for (const name of ["cuMemMap", "cuMemSetAccess", "cuMemUnmap"] as const) {
    const real = cuda.driver[name].bind(cuda.driver) as (...args: unknown[]) => number;
    cuda.driver[name] = (...args: unknown[]) => (calls.push(name), real(...args));
  }
  const reservation = device.reserve(8 * page, 3 * page);
  reservation.commit(0, 3 * page);
  reservation.release(0, 3 * page);

  expect(calls).toEqual(["cuMemMap", "cuMemMap", "cuMemMap", "cuMemSetAccess", "cuMemUnmap"]);
  cuda.dispose();
});

const mistakes: [string, (reservation: Reservation) => void, RegExp][] = [
  ["memory where there is some", (r) => [0, 1].forEach(() => r.commit(0, page)), /of 16384 bytes at 0 some have memory already/],
  ["part of a page", (r) => r.commit(0, page / 2), /8192 bytes at 0 are not units of 16384 bytes/],
  ["a page that begins in another", (r) => r.commit(page / 2, page), /16384 bytes at 8192 are not units/],
  ["nothing", (r) => r.commit(0, 0), /0 bytes at 0 are not units/],
  ["what lies beyond the end", (r) => r.commit(7 * page, 2 * page), /32768 bytes at 114688 are not units of 16384 bytes among 131072/],
  ["what lies before the start", (r) => r.commit(-page, page), /are not units/],
  ["more than there is", (r) => r.commit(0, 3 * page), /^3 pages of 16384 bytes wanted, 2 are free$/],
  ["a release of what has none", (r) => r.release(page, page), /unit 1 has no memory/],
  ["a move of what has none", (r) => r.move(page, 0, page), /unit 0 has no memory/],
  [
    "a move to where there is some",
    (r) => {
      r.commit(0, 2 * page);
      r.move(page, 0, page);
    },
    /of 16384 bytes at 16384 some have memory already/,
  ],
];
test.each(mistakes)("%s is refused before the driver sees it, and costs no memory", (_, makeMistake, expected) => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(8 * page, 2 * page);

  expect(() => makeMistake(reservation)).toThrow(expected);
  expect(cuda.violations).toEqual([]);
  device.synchronize();
  reservation.dispose();
  expect(cuda.live).toEqual(["stream"]);
  cuda.dispose();
});

test("when there is no memory for all of it, nothing is taken, and the error says how much there is", () => {
  for (const number of [1, 2, 3]) {
    const { cuda, device } = makeDevice({ failingAllocation: number });

    expect(() => device.reserve(8 * page, 3 * page)).toThrow(
      /^cuMemCreate: cudaErrorMemoryAllocation \(2\): 48\.0 KiB wanted, 8\.0 GiB of 8\.0 GiB on the device are free$/,
    );
    expect(cuda.live).toEqual(["stream"]);
    cuda.dispose();
  }
});

test("when there are no addresses, the error says how many were wanted", () => {
  const { cuda, device } = makeDevice({ failingAllocation: 0 });

  expect(() => device.reserve(8 * page, 3 * page)).toThrow(/^cuMemAddressReserve: .* addresses for 131072 bytes wanted$/);
  expect(cuda.live).toEqual(["stream"]);
  cuda.dispose();
});

test("a GPU that cannot put memory to addresses refuses", () => {
  const { cuda, device } = makeDevice({ pageBytes: 0 });

  expect(() => device.reserve(page, page)).toThrow(/^this GPU cannot put memory to addresses page by page$/);
  cuda.dispose();
});

/** Makes the call of this number (from 0) fail, once. */
function failOnce(functions: DriverFunctions | FakeCuda, name: string, number: number): void {
  const table = functions as unknown as Record<string, (...args: unknown[]) => number>;
  const real = table[name]!.bind(functions);
  let count = 0;
  table[name] = (...args) => (count++ === number ? 999 : real(...args));
}

test("whether addresses can be had is tried, with a page of memory, and nothing of it stays", () => {
  const cuda = new FakeCuda();

  expect(cuda.libraries.driver.canReserve(10 * page - 5, 0)).toBe(true);
  expect(cuda.live).toEqual([]);
  cuda.dispose();
});

test.each(["cuMemGetAllocationGranularity", "cuMemAddressReserve", "cuMemCreate", "cuMemMap", "cuMemSetAccess"])(
  "where the driver refuses %s, addresses cannot be had, and nothing of the trial stays",
  (name) => {
    const cuda = new FakeCuda();
    failOnce(cuda.driver, name, 0);

    expect(cuda.libraries.driver.canReserve(10 * page, 0)).toBe(false);
    expect(cuda.live).toEqual([]);
    expect(cuda.violations).toEqual([]);
    cuda.dispose();
  },
);

const failures: [string, number][] = [
  ["cuMemMap", 0],
  ["cuMemMap", 2],
  ["cuMemSetAccess", 0],
  ["cudaMemsetAsync", 0],
];
test.each(failures)("when %s fails in call %i, the part stays without memory, and all of it can be had again", (name, number) => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(8 * page, 3 * page);
  failOnce(name.startsWith("cuda") ? cuda : cuda.driver, name, number);

  expect(() => reservation.commit(0, 3 * page)).toThrow(CudaError);
  expect(cuda.live).toEqual([`${8 * page} bytes reserved`, "3 pages", "stream"]);
  reservation.commit(0, 3 * page);
  expect(read(device, reservation, 2 * page)).toBe(0);
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

test.each(["cuMemMap", "cuMemSetAccess", "cuMemUnmap"])("when %s fails in a move, everything stays where it was", (name) => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(8 * page, 2 * page);
  reservation.commit(0, 2 * page);
  write(device, reservation, page, 5);
  failOnce(cuda.driver, name, 0);

  expect(() => reservation.move(4 * page, 0, 2 * page)).toThrow(CudaError);
  expect(read(device, reservation, page)).toBe(5);
  reservation.move(4 * page, 0, 2 * page);
  expect(read(device, reservation, 5 * page)).toBe(5);
  expect(cuda.violations).toEqual([]);
  cuda.dispose();
});

test("a driver's answer that means the end of the device ends it", () => {
  const { cuda, device } = makeDevice();
  const reservation = device.reserve(page, page);
  cuda.driver.cuMemMap = () => 700;

  expect(() => reservation.commit(0, page)).toThrow(DeviceLostError);
  expect(() => reservation.commit(0, page)).toThrow(/^the GPU has failed: cuMemMap: cudaErrorIllegalAddress \(700\)$/);
  cuda.dispose();
});

test("whatever is committed, moved and released, pages hold what was written to them, and none is lost", () => {
  const unitCount = 12;
  const pageCount = 6;
  const part = fc.tuple(fc.nat(unitCount - 1), fc.integer({ min: 1, max: 4 })).map(([first, count]) => ({
    first: Math.min(first, unitCount - count),
    count,
  }));
  const action = fc.record({ kind: fc.constantFrom("commit", "release", "move"), part, to: fc.nat(unitCount - 1) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), fc.boolean(), (actions, isLate) => {
      const { cuda, device } = makeDevice({ isLate });
      const reservation = device.reserve(unitCount * page, pageCount * page);
      const expected = new Map<number, number>();
      for (const [i, { kind, part, to }] of actions.entries()) {
        const units = Array.from({ length: part.count }, (_, k) => part.first + k);
        const targets = units.map((unit) => unit - part.first + to);
        const [offset, byteLength] = [part.first * page, part.count * page];
        if (kind === "commit") {
          if (units.some((unit) => expected.has(unit)) || expected.size + part.count > pageCount) continue;
          reservation.commit(offset, byteLength);
          for (const unit of units) expected.set(unit, 0);
          expected.set(part.first, (i % 250) + 1);
          write(device, reservation, offset, (i % 250) + 1);
        } else if (!units.every((unit) => expected.has(unit))) {
          continue;
        } else if (kind === "release") {
          reservation.release(offset, byteLength);
          for (const unit of units) expected.delete(unit);
        } else if (to + part.count <= unitCount && !targets.some((unit) => expected.has(unit))) {
          reservation.move(to * page, offset, byteLength);
          for (const [k, unit] of units.entries()) {
            expected.set(targets[k]!, expected.get(unit)!);
            expected.delete(unit);
          }
        }
      }

      for (const [unit, value] of expected) expect(read(device, reservation, unit * page)).toBe(value);
      reservation.dispose();
      expect(cuda.live).toEqual(["stream"]);
      expect(cuda.violations).toEqual([]);
      cuda.dispose();
    }),
    { numRuns: 60 },
  );
});
