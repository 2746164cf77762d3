import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { freeDiskBytes, makeFolders, systemReason } from "../../src/core/file-system.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = temporaryFolder();

describe("makeFolders", () => {
  test("makes a folder and those above it, and is content with what is there", () => {
    makeFolders(join(root, "a", "b", "c"));
    makeFolders(join(root, "a", "b", "c"));

    expect(existsSync(join(root, "a", "b", "c"))).toBe(true);
  });

  test("goes through links to folders", () => {
    mkdirSync(join(root, "real"));
    symlinkSync(join(root, "real"), join(root, "link"));

    makeFolders(join(root, "link", "below"));

    expect(existsSync(join(root, "real", "below"))).toBe(true);
  });

  test("fails where a file is in the way", () => {
    writeFileSync(join(root, "file"), "");

    expect(() => makeFolders(join(root, "file"))).toThrow(/EEXIST/);
    expect(() => makeFolders(join(root, "file", "below"))).toThrow(/ENOTDIR/);
  });

  // With `recursive`, mkdirSync of Node 20 never returns here.
  test.skipIf(!existsSync("/proc/self"))("fails below a folder of the system's that takes none", () => {
    expect(() => makeFolders("/proc/ernie-vl/cache")).toThrow(/ENOENT/);
  });
});

describe("freeDiskBytes", () => {
  test("is that of the disk where the folder will be", () => {
    expect(freeDiskBytes(join(root, "not", "there", "yet"))).toBeGreaterThan(0);
  });

  test.skipIf(!existsSync("/proc/self"))("is unknown for a file system that reports no size", () => {
    expect(freeDiskBytes("/proc")).toBeUndefined();
  });
});

describe("systemReason", () => {
  test("is the system's words, without the call and the path", () => {
    const error = catchError(() => readFileSync(join(root, "nothing")));

    expect(error.message).toContain("nothing");
    expect(systemReason(error)).toBe("no such file or directory");
  });

  test("is the message of an error that is not the system's", () => {
    expect(systemReason(new Error("out of luck"))).toBe("out of luck");
    expect(systemReason(Object.assign(new Error("unheard of"), { errno: -123_456 }))).toBe("unheard of");
  });
});

function catchError(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a failure");
}
