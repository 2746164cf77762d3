// A file system that refuses locks: Lustre without the mount option, for example.

import { readdirSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { expect, onTestFinished, test, vi } from "vitest";
import { WorkFolder } from "../../src/convert/work-folder.ts";
import { FileLock } from "../../src/runtime/file-lock.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { namesBeside, newTarget } from "./new-target.ts";

vi.mock("../../src/runtime/load-library.ts", () => {
  const flock = () => {
    koffi.errno(constants.errno.ENOSYS);
    return -1;
  };
  return { cLibrary: { func: () => flock } };
});

test("a lock that keeps nobody out says so, and its file does not stay", () => {
  const folder = temporaryFolder();

  const lock = FileLock.take(join(folder, "out"));
  expect(lock.isExclusive).toBe(false);
  lock.release();

  expect(readdirSync(folder)).toEqual([]);
});

test("of two conversions to one target, the one that began last is not disturbed", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const target = newTarget();
  const first = await WorkFolder.claim(target);
  vi.advanceTimersByTime(1000);
  const second = await WorkFolder.claim(target);
  writeFileSync(join(second.path, "x"), "");

  expect(() => first.checkOwnership()).toThrow("another process has taken over this conversion; let it finish");
  first.remove();

  second.checkOwnership();
  expect(namesBeside(target).toSorted()).toEqual([".model.partial", ".model.partial.lock"]);
  second.remove();
  expect(namesBeside(target)).toEqual([]);
});
