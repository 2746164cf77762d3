import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WorkFolder, workFolderPath } from "../../src/convert/work-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { newTarget } from "./new-target.ts";

const deadProcess = spawnSync(process.execPath, ["--version"]).pid;

/** Claims a folder and then makes it look as if another process had. */
async function leaveOwner(target: string, changes: { host?: string; processId?: number; process?: string }, ageMs = 0): Promise<void> {
  const work = await WorkFolder.claim(target);
  const path = join(work.path, "owner-1");
  const owner = JSON.parse(readFileSync(path, "utf8")) as object;
  work.release();
  writeFileSync(path, JSON.stringify({ ...owner, ...changes }));
  const time = new Date(Date.now() - ageMs);
  utimesSync(path, time, time);
}

/** Whether the folder can be had without waiting. */
async function isFree(target: string): Promise<boolean> {
  const abort = new AbortController();
  try {
    const work = await WorkFolder.claim(target, { onWait: () => abort.abort(), signal: abort.signal });
    work.checkOwnership();
    return true;
  } catch {
    return false;
  }
}

const minuteMs = 60_000;

describe("the work folder of", () => {
  test.each([
    ["a dead process is taken over", { processId: deadProcess }, 0, true],
    ["a living process is not", { processId: process.ppid }, 0, false],
    ["a living process without a sign of life for two minutes is (its id belongs to somebody else)", { processId: 1 }, 2 * minuteMs, true],
    ["this process is not", {}, 0, false],
    ["an earlier process with our id is", { process: "earlier" }, 0, true],
    ["another machine is not while it shows life", { host: "other", processId: deadProcess }, 0, false],
    ["another machine is after two minutes of silence", { host: "other" }, 2 * minuteMs, true],
  ])("%s", async (_name, owner, ageMs, expected) => {
    const target = newTarget();
    await leaveOwner(target, owner, ageMs);

    expect(await isFree(target)).toBe(expected);
  });

  test("a process that died while it claimed it is not taken for free before it is surely dead", async () => {
    const target = newTarget();
    mkdirSync(workFolderPath(target));
    const path = join(workFolderPath(target), "owner-1");
    writeFileSync(path, "");

    expect(await isFree(target)).toBe(false);
    utimesSync(path, 0, 0);
    expect(await isFree(target)).toBe(true);
  });
});

test("of many that want to take over one folder, one gets it", async () => {
  const target = newTarget();
  await leaveOwner(target, { processId: deadProcess });

  const results = await Promise.all(Array.from({ length: 8 }, () => isFree(target)));

  expect(results.filter(Boolean)).toHaveLength(1);
});

test("an owner that was taken for dead learns it, and does not remove the work of the next", async () => {
  const target = newTarget();
  const first = await WorkFolder.claim(target);
  utimesSync(join(first.path, "owner-1"), 0, 0);
  const second = await WorkFolder.claim(target);

  expect(() => first.checkOwnership()).toThrow("another process has taken over");
  first.remove();
  second.checkOwnership();
  second.remove();
  expect(existsSync(second.path)).toBe(false);
});

test("removing leaves nothing beside the target, releasing keeps what was written", async () => {
  const target = newTarget();
  const first = await WorkFolder.claim(target);
  writeFileSync(join(first.path, "x"), "");
  first.release();
  const second = await WorkFolder.claim(target);

  expect([second.hasWaited, readdirSync(second.path).toSorted()]).toEqual([false, ["owner-1", "x"]]);
  second.remove();
  expect(readdirSync(join(target, ".."))).toEqual([]);
});

describe("in place of the work folder", () => {
  test("a broken symbolic link is refused, not tried for ever", async () => {
    const target = newTarget();
    symlinkSync("nowhere", workFolderPath(target));

    const message = `${workFolderPath(target)}: expected a new or empty folder, got a broken symbolic link; delete it or choose another folder`;
    await expect(WorkFolder.claim(target)).rejects.toThrow(message);
  });

  test("a file or a link to itself is refused", async () => {
    const [file, circle] = [newTarget(), newTarget()];
    writeFileSync(workFolderPath(file), "");
    symlinkSync(workFolderPath(circle), workFolderPath(circle));

    for (const target of [file, circle]) await expect(WorkFolder.claim(target)).rejects.toThrow(/^cannot write .*; check the folder/);
  });

  test("a link to a folder serves", async () => {
    const target = newTarget();
    symlinkSync(temporaryFolder(), workFolderPath(target));

    const work = await WorkFolder.claim(target);
    expect(readdirSync(work.path)).toEqual(["owner-1"]);
    work.remove();
  });
});
