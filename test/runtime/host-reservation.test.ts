import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { HostDevice, type Reservation } from "../../src/runtime/device.ts";
import { canReserveHost, hostUnitBytes } from "../../src/runtime/host-reservation.ts";

const device = new HostDevice();
const [unit, scratch] = [hostUnitBytes, device.allocate(hostUnitBytes)];

function write(reservation: Reservation, offset: number, value: number): void {
  new Uint8Array(scratch.bytes).fill(value);
  device.copy({ memory: reservation, offset }, { memory: scratch, offset: 0 }, unit);
}

function read(reservation: Reservation, offset: number): Set<number> {
  device.copy({ memory: scratch, offset: 0 }, { memory: reservation, offset }, unit);
  return new Set(new Uint8Array(scratch.bytes));
}

function residentBytes(): number {
  const pages = Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]);
  return pages * 4096;
}

test("addresses for more than the machine has cost nothing, and can be used to the last byte", () => {
  const before = residentBytes();
  const reservation = device.reserve(2 ** 42, 2 ** 20);

  reservation.commit(2 ** 42 - unit, unit);
  write(reservation, 2 ** 42 - unit, 7);

  expect(read(reservation, 2 ** 42 - unit)).toEqual(new Set([7]));
  expect(residentBytes() - before).toBeLessThan(50e6);
  reservation.dispose();
});

test("what was released has no memory, and is zeros when it gets some again", () => {
  const size = 2048 * unit; // 128 MiB
  const reservation = device.reserve(size, size);
  reservation.commit(0, size);
  for (let offset = 0; offset < size; offset += unit) write(reservation, offset, 1);
  const filled = residentBytes();

  reservation.release(unit, size - 2 * unit);

  expect(filled - residentBytes()).toBeGreaterThan(0.9 * size);
  expect([0, unit, size - unit].map((offset) => [...read(reservation, offset)])).toEqual([[1], [0], [1]]);
  reservation.dispose();
});

test("what was moved lies at its new place, and nothing at its old one", () => {
  const reservation = device.reserve(8 * unit, 8 * unit);
  reservation.commit(0, 2 * unit);
  [1, 2].forEach((value, i) => write(reservation, i * unit, value));

  reservation.move(5 * unit, 0, 2 * unit);

  expect([0, 1, 5, 6].map((i) => [...read(reservation, i * unit)])).toEqual([[0], [0], [1], [2]]);
  reservation.dispose();
});

test.each([
  ["not a multiple", 1, unit],
  ["beyond the end", 4 * unit, unit],
  ["before the start", -unit, unit],
])("a part that is %s is refused", (_, offset, byteLength) => {
  const reservation = device.reserve(4 * unit, unit);

  expect(() => reservation.commit(offset, byteLength)).toThrow("no part of");
  expect(() => reservation.release(offset, byteLength)).toThrow("no part of");
  reservation.dispose();
});

test("more addresses than a process can have are refused, and that can be asked before", () => {
  expect(canReserveHost(2 ** 40)).toBe(true);
  expect(canReserveHost(2 ** 52)).toBe(false);
  expect(() => device.reserve(2 ** 52, unit)).toThrow(`no addresses for ${2 ** 52} bytes`);
});
