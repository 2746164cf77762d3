import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LineFile, mend, readResults } from "../../src/batch/batch-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const result = (id: string): string => JSON.stringify({ id: `batch_req_${id}`, custom_id: id, response: {}, error: null });

function fileOf(text: string): string {
  const path = join(temporaryFolder(), "out.jsonl");
  writeFileSync(path, text);
  return path;
}

describe("the output of an earlier run", () => {
  test("that was killed loses its torn last line, wherever it was cut, and nothing else", async () => {
    const whole = `${result("a")}\n`;
    const torn = result("é");
    for (let length = 1; length < Buffer.byteLength(torn); length++) {
      const path = fileOf("");
      writeFileSync(path, Buffer.concat([Buffer.from(whole), Buffer.from(torn).subarray(0, length)]));

      const earlier = await readResults(path);
      await mend(path, earlier);

      expect([...earlier.customIds]).toEqual(["a"]);
      expect(readFileSync(path, "utf8"), `cut after ${length} bytes`).toBe(whole);
    }
  });

  test("loses nothing else either when it is larger than what is read at a time, with a line break where a piece begins", async () => {
    const longResult = (id: string, bytes: number): string => result(id).replace("{}", `"${"x".repeat(bytes)}"`);
    const first = longResult("0", 2 ** 20 - longResult("0", 0).length);
    const whole = `${[first, ...["a", "b", "c"].map((id) => longResult(id, 700_000))].join("\n")}\n`;
    const path = fileOf(whole + result("d").slice(0, 30));

    const earlier = await readResults(path);
    await mend(path, earlier);

    expect([...earlier.customIds]).toEqual(["0", "a", "b", "c"]);
    expect(readFileSync(path, "utf8") === whole).toBe(true);
  });

  test("that lacks only its last line break keeps the answer and gets the break", async () => {
    const path = fileOf(result("a"));

    const earlier = await readResults(path);
    await mend(path, earlier);

    expect([...earlier.customIds]).toEqual(["a"]);
    expect(readFileSync(path, "utf8")).toBe(`${result("a")}\n`);
  });

  test.each([
    ["my notes", 1],
    ["my notes\n", 1],
    [`${result("a")}\n{"custom_id": "b", "method": "POST"}\n`, 2],
    [`${result("a")}\n{"id": "x"`, 2],
    [`${result("a").slice(0, 30)}\n${result("b")}\n`, 1],
  ])("%j is not touched when it is something else", async (text, line) => {
    const path = fileOf(text);

    await expect(readResults(path)).rejects.toThrow(`, line ${line}: not a result of an earlier run`);

    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("may not be there", async () => {
    expect(await readResults(join(temporaryFolder(), "none"))).toMatchObject({ tornAtByte: undefined, lacksLineBreak: false });
  });
});

describe("a file of lines", () => {
  test("holds each line once its adding has ended, however many are added at once", async () => {
    const path = join(temporaryFolder(), "out.jsonl");
    const file = new LineFile(path);
    expect(existsSync(path)).toBe(false);

    await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        await file.add({ i });
        expect(readFileSync(path, "utf8").split("\n")).toContain(`{"i":${i}}`);
      }),
    );
    await file.add({ i: 200 });
    await file.close();

    expect(readFileSync(path, "utf8")).toBe(Array.from({ length: 201 }, (_, i) => `{"i":${i}}\n`).join(""));
  });

  test("gets no further line once one could not be written: it may end within that line", async () => {
    const folder = join(temporaryFolder(), "later");
    const file = new LineFile(join(folder, "out.jsonl"));

    await expect(file.add({ a: 1 })).rejects.toThrow("cannot write");
    mkdirSync(folder);

    await expect(file.add({ b: 2 })).rejects.toThrow("cannot write");
    expect(existsSync(join(folder, "out.jsonl"))).toBe(false);
  });

  test("says when it cannot be written", async () => {
    const file = new LineFile(join(temporaryFolder(), "no-such-folder/out.jsonl"));

    await expect(file.add({})).rejects.toThrow(/^cannot write .*: no such file or directory; check the folder and its permissions$/);
  });
});
