// File systems of several machines, and those that refuse locks: Lustre without the mount option, for example.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { expect, onTestFinished, test, vi } from "vitest";
import { OutputFolder } from "../../src/convert/output-folder.ts";
import { WorkFolder, workFolderPath } from "../../src/convert/work-folder.ts";
import { FileLock } from "../../src/runtime/file-lock.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { namesBeside, newTarget } from "./new-target.ts";

/** What the next locks end with. */
let errnos: number[] = [];

vi.mock("../../src/runtime/load-library.ts", () => {
  const flock = (): number => {
    const errno = errnos.shift() ?? constants.errno.ENOSYS;
    koffi.errno(errno);
    return errno === 0 ? 0 : -1;
  };
  return { cLibrary: { func: () => flock } };
});

/** What two processes get that claim the same without a lock between them, the second a second later. */
async function claimTwice<Claimed>(claim: () => Promise<Claimed>): Promise<{ first: Claimed; second: Claimed }> {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const first = await claim();
  vi.advanceTimersByTime(1000);
  return { first, second: await claim() };
}

test("a lock is tried again when another machine removes its file meanwhile", () => {
  errnos = [constants.errno.ESTALE, 0];

  const lock = FileLock.take(join(temporaryFolder(), "out"));

  expect([lock.isExclusive, errnos]).toEqual([true, []]);
  lock.release();
});

test("a lock that keeps nobody out says so, and its file does not stay", () => {
  const folder = temporaryFolder();

  const lock = FileLock.take(join(folder, "out"));
  expect(lock.isExclusive).toBe(false);
  lock.release();

  expect(readdirSync(folder)).toEqual([]);
});

test("of two conversions to one target, the one that began last is not disturbed", async () => {
  const target = newTarget();
  const { first, second } = await claimTwice(() => WorkFolder.claim(target));
  writeFileSync(join(second.path, "x"), "");

  expect(() => first.checkOwnership()).toThrow("another process has taken over this conversion; let it finish");
  first.remove();

  second.checkOwnership();
  expect(namesBeside(target).toSorted()).toEqual([".model.partial", ".model.partial.lock"]);
  second.remove();
  expect(namesBeside(target)).toEqual([]);
});

test("the conversion that is taken over adds nothing to the journal that it shares", async () => {
  const target = newTarget();
  const { first, second } = await claimTwice(() => OutputFolder.open(target, { overwrite: false, key: "key" }));
  const sync = async () => {};

  first.journal.add(1);
  await expect(first.recordJobs(sync)).rejects.toThrow("another process has taken over");
  second.journal.add(2);
  await second.recordJobs(sync);

  expect(readFileSync(join(workFolderPath(target), "journal"), "utf8")).toBe("key\n2\n");
  first.discard();
  second.discard();
  expect(namesBeside(target)).toEqual([]);
});
