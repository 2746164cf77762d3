// Checks that data in memory mapped page by page is still there after a page has moved and can be copied, and times each step.

import { CudaDevice } from "../../../src/runtime/cuda/cuda-device.ts";
import { loadCuda } from "../../../src/runtime/cuda/probe.ts";
import type { JobContext } from "../job.ts";

const pageCount = 256;
const addressBytes = 2 ** 40;
/** Addresses of a head of a slot: more than the 28B needs for its whole context. */
const headBytes = 2 ** 26;

export function checkPages({ say, record, fail }: JobContext, pageBytes: number): void {
  const device = new CudaDevice(loadCuda());
  const times: Record<string, number> = {};
  const perPage = <T>(step: string, work: () => T): T => {
    const start = performance.now();
    const result = work();
    device.synchronize();
    times[step] = (1000 * (performance.now() - start)) / pageCount;
    return result;
  };
  const offsets = Array.from({ length: pageCount }, (_, i) => i * pageBytes);
  const far = addressBytes / 2;
  const reservation = perPage("take", () => device.reserve(addressBytes, pageCount * pageBytes));
  const host = device.allocateHost(pageBytes);
  const bytes = new Uint8Array(host.bytes);
  const lastTwo = (pageCount - 2) * pageBytes;
  /** The values that all bytes of two pages have. */
  const read = (first: number): number[] =>
    [first, first + pageBytes].map((offset) => {
      device.copy({ memory: host, offset: 0 }, { memory: reservation, offset }, pageBytes);
      device.synchronize();
      return bytes.every((value) => value === bytes[0]) ? bytes[0]! : -1;
    });
  const expectPages = (when: string, got: readonly number[], expected: readonly number[]): void => {
    if (got.join() !== expected.join()) fail(`pages ${when} hold ${got.join(" and ")} instead of ${expected.join(" and ")}`);
  };

  perPage("put to addresses", () => offsets.forEach((offset) => reservation.commit(offset, pageBytes)));
  expectPages("that are new", read(lastTwo), [0, 0]);
  bytes.fill(7);
  device.copy({ memory: reservation, offset: offsets.at(-1)! }, { memory: host, offset: 0 }, pageBytes);
  device.synchronize();
  perPage("move", () => offsets.forEach((offset) => reservation.move(far + offset, offset, pageBytes)));
  expectPages("that were moved", read(far + lastTwo), [0, 7]);
  perPage("take from addresses", () => offsets.forEach((offset) => reservation.release(far + offset, pageBytes)));
  perPage("put to addresses in one", () => reservation.commit(0, pageCount * pageBytes));
  expectPages("that were used before", read(lastTwo), [0, 0]);
  const heads = [far, far + headBytes];
  bytes.fill(7);
  for (const [i, head] of heads.entries()) {
    reservation.move(head, 4 * i * pageBytes, 4 * pageBytes);
    device.copy({ memory: reservation, offset: head + pageBytes }, { memory: host, offset: 0 }, pageBytes);
  }
  const rowsAt = (offset: number) => ({ memory: reservation, offset: far + offset, pitch: headBytes });
  device.copyRows(rowsAt(2 * pageBytes), rowsAt(0), 2 * pageBytes, heads.length);
  for (const head of heads) expectPages("copied beside addresses without memory", read(head + 2 * pageBytes), [0, 7]);
  perPage("give back", () => reservation.dispose());
  host.dispose();
  device.dispose();
  record("microsecondsPerPage", times);
  const listed = Object.entries(times).map(([step, time]) => `${step} ${time.toFixed(1)}`);
  say(`µs for a page of ${pageBytes / 1024} KiB: ${listed.join(", ")}`);
}
