// What the fake GPU has to notice about memory that is put to addresses, and what runs may be bound to.

import koffi from "koffi";
import { expect, test } from "vitest";
import { CudaDevice } from "../../src/runtime/cuda/cuda-device.ts";
import type { CudaDriver } from "../../src/runtime/cuda/driver.ts";
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
