import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { LogWriter } from "../../src/cli/log-writer.ts";
import { temporaryFolder } from "../temporary-folder.ts";

let folder: string;
beforeEach(() => void (folder = temporaryFolder()));

const lineOf = (number: number): string => `{"line":${number}}\n`;
const numbersIn = (text: string): number[] =>
  text
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { line: number }).line);
const count = (to: number): number[] => Array.from({ length: to }, (_, i) => i);

test("lines arrive whole and in order", async () => {
  const path = join(folder, "log");
  const fd = openSync(path, "w");
  const writer = new LogWriter(fd);

  for (const number of count(10_000)) writer.write(lineOf(number));

  await expect.poll(() => readFileSync(path, "utf8").endsWith(lineOf(9_999))).toBe(true);
  expect(numbersIn(readFileSync(path, "utf8"))).toEqual(count(10_000));
  closeSync(fd);
});

test("what waits is written by a flush", () => {
  const path = join(folder, "log");
  const fd = openSync(path, "w");
  const writer = new LogWriter(fd);
  for (const number of count(3)) writer.write(lineOf(number));

  writer.flushSync();

  expect(numbersIn(readFileSync(path, "utf8"))).toEqual(count(3));
  closeSync(fd);
});

describe.skipIf(!existsSync("/dev/full"))("a full disk", () => {
  test("loses lines, and fails neither what writes nor what flushes", async () => {
    const fd = openSync("/dev/full", "w");
    const writer = new LogWriter(fd);

    for (const number of count(100)) {
      writer.write(lineOf(number));
      await new Promise(setImmediate);
    }
    writer.write(lineOf(100));
    writer.write(lineOf(101));

    expect(() => writer.flushSync()).not.toThrow();
    closeSync(fd);
  });
});

describe("a pipe", () => {
  /** Both ends of a pipe that nobody reads unless `read` is called. */
  const openPipe = () => {
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    const buffer = Buffer.alloc(1 << 16);
    const read = (): string => {
      try {
        return buffer.toString("utf8", 0, readSync(reader, buffer));
      } catch {
        return ""; // nothing there yet
      }
    };
    return { fd, reader, read };
  };

  test("whose reader is slow gets every line, as long as there is room for what waits", async () => {
    const { fd, reader, read } = openPipe();
    const writer = new LogWriter(fd);
    for (const number of count(30_000)) writer.write(lineOf(number));

    let text = "";
    await expect.poll(() => (text += read()).endsWith(lineOf(29_999)), { interval: 1 }).toBe(true);

    expect(numbersIn(text)).toEqual(count(30_000));
    closeSync(fd);
    closeSync(reader);
  });

  test("whose reader stands still loses lines, and takes no more memory than told", async () => {
    const { fd, reader, read } = openPipe();
    const writer = new LogWriter(fd, 1000);
    writer.write("x".repeat(999) + "\n");
    while (read() === "") await new Promise(setImmediate);
    const filling = count(20_000).map(lineOf);
    for (const [i, line] of filling.entries()) {
      writer.write(line);
      if (i % 50 === 0) await new Promise(setImmediate);
    }

    // Once there is room again, a later line arrives behind all that was kept.
    let text = "";
    const last = lineOf(20_000);
    const readOn = () => {
      writer.write(last);
      return (text += read()).includes(last);
    };
    await expect.poll(readOn, { interval: 5 }).toBe(true);

    const numbers = numbersIn(text.slice(0, text.indexOf(last)));
    expect(numbers.length).toBeLessThan(20_000);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    closeSync(fd);
    closeSync(reader);
  });

  test("whose reader has gone loses lines, and fails nothing", async () => {
    const { fd, reader } = openPipe();
    closeSync(reader);
    const writer = new LogWriter(fd);

    for (const number of count(10)) {
      writer.write(lineOf(number));
      await new Promise(setImmediate);
    }
    writer.write(lineOf(10));
    writer.write(lineOf(11));

    expect(() => writer.flushSync()).not.toThrow();
    closeSync(fd);
  });
});
