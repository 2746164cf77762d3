import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { WorkFolder, workFolderPath } from "../../src/convert/work-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { namesBeside, newTarget } from "./new-target.ts";

const source = fileURLToPath(new URL("../../src/convert/work-folder.ts", import.meta.url));
/** Gives a program process ids of its own, as a container has. */
const inContainer = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
const hasContainers = spawnSync("unshare", [...inContainer.slice(1), "true"]).status === 0;

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

describe("the work folder of a process", () => {
  test.each<[string, readonly string[]]>([
    ["that runs", []],
    ...(hasContainers ? [["in another container of the same host name", inContainer] satisfies [string, readonly string[]]] : []),
  ])("%s is kept for it until it is killed", async (_name, wrapper) => {
    const target = newTarget();
    const program = `const { WorkFolder } = await import(${JSON.stringify(source)});
      await WorkFolder.claim(${JSON.stringify(target)}); console.log(process.pid); setInterval(() => {}, 1000);`;
    const [command, ...args] = [...wrapper, process.execPath, "--import", "tsx", "--input-type=module", "-e", program];
    const owner = spawn(command!, args, { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void owner.kill("SIGKILL"));
    const [printed] = (await once(owner.stdout, "data")) as [Buffer];
    const waited: string[] = [];
    const next = WorkFolder.claim(target, { onWait: (holder) => waited.push(holder) });
    expect(waited).toEqual([expect.stringMatching(new RegExp(`^process ${Number(printed)} on \\S+ since `))]);

    owner.kill("SIGKILL");
    const work = await next;

    work.checkOwnership();
    work.remove();
    expect([work.hasWaited, namesBeside(target)]).toEqual([true, []]);
  });
});

test("of many that want one folder, one gets it", async () => {
  const target = newTarget();
  writeFileSync(`${workFolderPath(target)}.lock`, "what a killed process left");

  const results = await Promise.all(Array.from({ length: 8 }, () => isFree(target)));

  expect(results.filter(Boolean)).toHaveLength(1);
});

test("an owner learns that another process has the lock, too, and does not remove the other's work", async () => {
  const target = newTarget();
  const work = await WorkFolder.claim(target);
  const lockPath = `${work.path}.lock`;
  writeFileSync(lockPath, "process 1 on another-machine since 2026-01-01T00:00:00.000Z");

  expect(() => work.checkOwnership()).toThrow("another process has taken over");
  work.remove();
  expect([existsSync(work.path), readFileSync(lockPath, "utf8")]).toEqual([true, expect.stringContaining("another-machine")]);
});

test("removing leaves nothing beside the target, releasing keeps what was written", async () => {
  const target = newTarget();
  const first = await WorkFolder.claim(target);
  writeFileSync(join(first.path, "x"), "");
  first.release();
  expect(namesBeside(target)).toEqual([".model.partial"]);
  const second = await WorkFolder.claim(target);

  expect([second.hasWaited, readdirSync(second.path)]).toEqual([false, ["removed", "x"]]);
  second.remove();
  expect(namesBeside(target)).toEqual([]);
});

test("clearing leaves the owner an empty folder, which can be removed", async () => {
  const target = newTarget();
  const work = await WorkFolder.claim(target);
  writeFileSync(join(work.path, "x"), "");

  work.clear();
  expect(readdirSync(work.path)).toEqual(["removed"]);
  work.checkOwnership();
  work.remove();
  expect(namesBeside(target)).toEqual([]);
});

describe("in place of the work folder", () => {
  test("a broken symbolic link is refused, also one to itself", async () => {
    const [broken, circle] = [newTarget(), newTarget()];
    symlinkSync("nowhere", workFolderPath(broken));
    symlinkSync(workFolderPath(circle), workFolderPath(circle));

    for (const target of [broken, circle]) {
      const message = `${workFolderPath(target)}: expected a new or empty folder, got a broken symbolic link; delete it or choose another folder`;
      await expect(WorkFolder.claim(target)).rejects.toThrow(message);
      expect(namesBeside(target)).toEqual([".model.partial"]);
    }
  });

  test("a file is refused", async () => {
    const target = newTarget();
    writeFileSync(workFolderPath(target), "");

    await expect(WorkFolder.claim(target)).rejects.toThrow(/^cannot write .*; delete it or choose another name$/);
  });

  test("a link to a folder serves", async () => {
    const target = newTarget();
    const folder = temporaryFolder();
    symlinkSync(folder, workFolderPath(target));

    const work = await WorkFolder.claim(target);
    writeFileSync(join(work.path, "x"), "");
    expect(readdirSync(folder)).toEqual(["removed", "x"]);
    work.remove();
    expect(readdirSync(folder)).toEqual([]);
  });
});
