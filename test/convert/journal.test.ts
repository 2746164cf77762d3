import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { Journal } from "../../src/convert/journal.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const key = "0123abcd";

/** A disk that takes two bytes of each write, as one may that is nearly full. */
vi.mock("node:fs", async (importOriginal) => {
  const fs = await importOriginal<typeof import("node:fs")>();
  const writeSync = (fd: number, data: string | Uint8Array): number => fs.writeSync(fd, Buffer.from(data), 0, 2);
  return { ...fs, writeSync };
});

async function writeJournal(path: string, jobs: readonly number[]): Promise<void> {
  const journal = new Journal(path, key);
  for (const job of jobs) journal.add(job);
  await journal.flush(async () => {});
  journal.close();
}

function doneIn(path: string, withKey = key): number[] {
  const journal = new Journal(path, withKey);
  journal.close();
  return [...journal.done];
}

test("jobs are there again for the same key, and for no other", async () => {
  const path = join(temporaryFolder(), "journal");
  await writeJournal(path, [12, 3]);
  await writeJournal(path, [450]);

  expect(doneIn(path)).toEqual([12, 3, 450]);
  expect(doneIn(path, "other")).toEqual([]);
  expect(doneIn(path)).toEqual([]);
});

test("a job is recorded only after its data is on the disk", async () => {
  const path = join(temporaryFolder(), "journal");
  const journal = new Journal(path, key);
  journal.add(7);
  const failed = journal.flush(async () => {
    expect(readFileSync(path, "utf8")).toBe(`${key}\n`);
    throw new Error("disk failed");
  });

  await expect(failed).rejects.toThrow("disk failed");
  journal.close();
  expect(doneIn(path)).toEqual([]);
});

test("wherever a crash cuts the file, what is read is a beginning of what was written, and more can be added", async () => {
  const jobs = fc.uniqueArray(fc.nat(2000), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(jobs, fc.nat(100), async (written, cut) => {
      const path = join(temporaryFolder(), "journal");
      await writeJournal(path, written);
      const length = readFileSync(path).length;
      truncateSync(path, Math.max(0, length - cut));

      const kept = doneIn(path);

      expect(kept).toEqual(written.slice(0, kept.length));
      await writeJournal(path, [5000]);
      expect(doneIn(path)).toEqual([...kept, 5000]);
    }),
    { numRuns: 50 },
  );
});

test("lines that no journal writes count for nothing", async () => {
  const path = join(temporaryFolder(), "journal");
  await writeJournal(path, [1]);
  appendFileSync(path, "\0\0\0\n-4\n2x\n3\n");

  expect(doneIn(path)).toEqual([1, 3]);
});

test("starting over forgets what was done", async () => {
  const path = join(temporaryFolder(), "journal");
  writeFileSync(path, "");
  await writeJournal(path, [1]);
  const journal = new Journal(path, key);
  journal.restart();
  journal.close();

  expect([journal.done.size, doneIn(path), existsSync(path)]).toEqual([0, [], true]);
});
