import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { UserError } from "../../src/core/errors.ts";
import { writeError } from "../../src/core/file-system.ts";
import { hubConfig, hubTensors, writeCheckpoint } from "./tiny-checkpoint.ts";

/** Writes that still succeed. */
let writesLeft = Infinity;

vi.mock("node:fs", async (importOriginal) => {
  const fs = await importOriginal<typeof import("node:fs")>();
  const full = () => Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  const writeSync = (...args: Parameters<typeof fs.writeSync>): number => {
    if (writesLeft-- > 0) return fs.writeSync(...args);
    throw full();
  };
  const writeFileSync = (...[file, data, options]: Parameters<typeof fs.writeFileSync>): void => {
    if (writesLeft-- > 0) return fs.writeFileSync(file, data, options);
    fs.writeFileSync(file, "", options); // a full disk still has room for an empty file
    throw full();
  };
  const mkdirSync = (...args: Parameters<typeof fs.mkdirSync>): string | undefined => {
    if (writesLeft >= 0) return fs.mkdirSync(...args);
    throw full(); // it may have no room for an empty folder
  };
  return { ...fs, writeSync, writeFileSync, mkdirSync };
});

const parent = mkdtempSync(join(tmpdir(), "ernie-vl-full-"));
afterEach(() => (writesLeft = Infinity));
afterAll(() => rmSync(parent, { recursive: true }));

test.each([0, 1, 2, 6, 7, 16, 37])(
  "a disk that is full after %i writes is one clear error, and everything written is removed",
  async (count) => {
    const checkpoint = writeCheckpoint(hubConfig, hubTensors());
    const settings = { weights: "fp32", activations: "fp32" } as const;
    writesLeft = count;
    const conversion = convertCheckpoint(checkpoint, join(parent, "model"), { settings, programVersion: "1.0.0" });

    await expect(conversion).rejects.toThrow(UserError);
    await expect(conversion).rejects.toThrow(/^cannot write .*ENOSPC.*; free disk space or choose another folder$/);
    expect(readdirSync(parent)).toEqual([]);
  },
);

test.each([
  ["ENOSPC", "free disk space or choose another folder"],
  ["EDQUOT", "free disk space or choose another folder"],
  ["EFBIG", "choose a file system that takes larger files, or raise ulimit -f"],
  ["EEXIST", "delete it or choose another name"],
  ["EACCES", "check the folder and its permissions"],
])("%s comes with what to do about it", (code, advice) => {
  const error = Object.assign(new Error(`${code}: no`), { code });

  expect(writeError("/models/x", error)).toEqual(new UserError(`cannot write /models/x: ${code}: no; ${advice}`));
});
