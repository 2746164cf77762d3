import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { OutputFolder } from "../../src/convert/output-folder.ts";
import { removeLeftovers, temporaryPath } from "../../src/convert/temporary-folder.ts";
import { UserError } from "../../src/core/errors.ts";
import { makeManifest } from "./make-manifest.ts";
import { temporaryFolder } from "./tiny-checkpoint.ts";

const { files: _, ...manifest } = makeManifest();

function newTarget(): string {
  return join(temporaryFolder(), "model");
}

function convertTo(target: string, content = "weights", overwrite = false): void {
  const output = OutputFolder.create(target, { overwrite });
  output.addFile("decoder.onnx", Buffer.from(content));
  output.commit(manifest);
}

function namesBeside(target: string): string[] {
  return readdirSync(dirname(target)).filter((name) => name !== basename(target));
}

describe("a committed folder", () => {
  test("holds every file, and a manifest with their sizes and hashes", () => {
    const target = join(newTarget(), "below", "missing", "folders");
    const bytes = Buffer.alloc(11_000_003, "some bytes that do not fit one buffer");
    const source = join(temporaryFolder(), "source");
    writeFileSync(source, bytes);
    const output = OutputFolder.create(target, { overwrite: false });

    const { write, close } = output.createFile("pieces");
    for (let start = 0, length = 1; start < bytes.length; start += length, length = (length * 3) % 6_000_011) {
      write(bytes.subarray(start, start + length));
    }
    close();
    output.addFile("whole", bytes);
    output.copyFile("copy", source);
    output.addFile("empty", new Uint8Array());
    output.commit(manifest);

    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const { files } = JSON.parse(readFileSync(join(target, "manifest.json"), "utf8"));
    expect(files).toEqual({
      pieces: { bytes: bytes.length, sha256 },
      whole: { bytes: bytes.length, sha256 },
      copy: { bytes: bytes.length, sha256 },
      empty: { bytes: 0, sha256: createHash("sha256").digest("hex") },
    });
    for (const name of ["pieces", "whole", "copy"]) expect(readFileSync(join(target, name)).equals(bytes), name).toBe(true);
    expect(readdirSync(target).toSorted()).toEqual(["copy", "empty", "manifest.json", "pieces", "whole"]);
    expect(namesBeside(target)).toEqual([]);
  });

  test("has the same manifest, byte for byte, in whatever order keys and files came", () => {
    const [a, b] = [newTarget(), newTarget()];
    const one = OutputFolder.create(a, { overwrite: false });
    one.addFile("x", Buffer.from("1"));
    one.addFile("y", Buffer.from("2"));
    one.commit(manifest);
    const other = OutputFolder.create(b, { overwrite: false });
    other.addFile("y", Buffer.from("2"));
    other.addFile("x", Buffer.from("1"));
    other.commit(Object.fromEntries(Object.entries(manifest).toReversed()) as typeof manifest);

    expect(readFileSync(join(a, "manifest.json"), "utf8")).toBe(readFileSync(join(b, "manifest.json"), "utf8"));
  });

  test("takes the place of an empty one, also through a link", () => {
    const target = newTarget();
    mkdirSync(target);
    const link = `${target}-link`;
    symlinkSync(target, link);

    convertTo(link);

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("weights");
  });
});

describe("before the commit", () => {
  test("nothing is at the target, and discard leaves nothing anywhere", () => {
    const target = newTarget();
    const output = OutputFolder.create(target, { overwrite: false });
    output.addFile("x", Buffer.from("1"));
    output.createFile("open").write(Buffer.from("2"));

    expect(existsSync(target)).toBe(false);
    output.discard();
    expect(existsSync(target)).toBe(false);
    expect(namesBeside(target)).toEqual([]);
  });

  test("the end of the process discards; after it nothing is left to do", () => {
    const before = process.listeners("exit");
    const target = newTarget();
    OutputFolder.create(target, { overwrite: false }).addFile("x", Buffer.from("1"));
    const added = process.listeners("exit").filter((listener) => !before.includes(listener));

    expect(added).toHaveLength(1);
    added[0]!(130);
    expect(namesBeside(target)).toEqual([]);
    convertTo(target);
    expect(process.listeners("exit")).toEqual(before);
  });

  test("discard after commit keeps the result", () => {
    const target = newTarget();
    const output = OutputFolder.create(target, { overwrite: false });
    output.commit(manifest);
    output.discard();

    expect(readdirSync(target)).toEqual(["manifest.json"]);
  });
});

describe("a target in use", () => {
  test.each([
    ["a file", (target: string) => writeFileSync(target, ""), "got a file"],
    [
      "other files",
      (target: string) => {
        mkdirSync(target);
        writeFileSync(join(target, "thesis.tex"), "");
      },
      "got one with other files",
    ],
    [
      "another program's manifest",
      (target: string) => {
        mkdirSync(target);
        writeFileSync(join(target, "manifest.json"), '{"format":"other"}');
      },
      "got one with other files",
    ],
  ])("is refused and kept when it is or holds %s, overwrite or not", (_name, prepare, message) => {
    const target = newTarget();
    prepare(target);
    const create = (overwrite: boolean) => () => OutputFolder.create(target, { overwrite });

    expect(create(false)).toThrow(UserError);
    expect(create(false)).toThrow(message);
    expect(create(true)).toThrow(message);
    expect(namesBeside(target)).toEqual([]);
  });

  test("is replaced when it is an earlier conversion and overwrite is set", () => {
    const target = newTarget();
    convertTo(target, "old");

    expect(() => convertTo(target, "new")).toThrow("pass --overwrite");
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("old");
    convertTo(target, "new", true);
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("new");
    expect(namesBeside(target)).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)("is refused when its parent cannot be written", () => {
    const target = newTarget();
    chmodSync(dirname(target), 0o500);

    expect(() => OutputFolder.create(target, { overwrite: false })).toThrow(/^cannot write .*permission/);
  });
});

describe("two conversions to one target at a time", () => {
  function race(target: string, overwrite: boolean, contents: readonly [string, string]): readonly [OutputFolder, OutputFolder] {
    const outputs = contents.map((content) => {
      const output = OutputFolder.create(target, { overwrite });
      output.addFile("decoder.onnx", Buffer.from(content));
      return output;
    });
    return outputs as [OutputFolder, OutputFolder] & readonly OutputFolder[];
  }

  test("both succeed when they write the same", () => {
    const target = newTarget();
    const [a, b] = race(target, false, ["same", "same"]);
    a.commit(manifest);
    b.commit(manifest);

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("same");
    expect(namesBeside(target)).toEqual([]);
  });

  test("the later one is refused when they differ", () => {
    const target = newTarget();
    const [a, b] = race(target, false, ["a", "b"]);
    a.commit(manifest);

    expect(() => b.commit(manifest)).toThrow(UserError);
    b.discard();
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("a");
    expect(namesBeside(target)).toEqual([]);
  });

  test("the later one wins with overwrite", () => {
    const target = newTarget();
    const [a, b] = race(target, true, ["a", "b"]);
    a.commit(manifest);
    b.commit(manifest);

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("b");
    expect(namesBeside(target)).toEqual([]);
  });
});

describe("unfinished folders of other processes", () => {
  const deadProcess = spawnSync(process.execPath, ["--version"]).pid;

  function leave(target: string, rename: (name: string) => string, ageMs = 0): void {
    const path = temporaryPath(target);
    mkdirSync(path);
    writeFileSync(join(path, "x"), "");
    const time = new Date(Date.now() - ageMs);
    utimesSync(join(path, "x"), time, time);
    utimesSync(path, time, time);
    renameSync(path, join(dirname(path), rename(basename(path))));
  }

  const ofProcess = (id: number) => (name: string) => name.replace(`-${process.pid}-`, `-${id}-`);
  const ofHost = (name: string): string => name.replace(/partial-[0-9a-f]{8}/, "partial-00000000");
  const dayMs = 24 * 60 * 60 * 1000;

  test.each([
    ["a dead process are removed", ofProcess(deadProcess), 0, 0],
    ["a living process stay", ofProcess(process.ppid), 0, 1],
    ["this process stay", (name: string) => name, 0, 1],
    ["an earlier process with our id are removed", (name: string) => name, process.uptime() * 1000 + 60_000, 0],
    ["another machine stay while they are fresh", ofHost, dayMs / 2, 1],
    ["another machine are removed after a day", ofHost, dayMs + 60_000, 0],
    ["another target stay", (name: string) => ofProcess(deadProcess)(name).replace(".model.", ".model2."), 0, 1],
  ])("of %s", (_name, rename, ageMs, expectedCount) => {
    const target = newTarget();
    leave(target, rename, ageMs);

    removeLeftovers(target);

    expect(namesBeside(target)).toHaveLength(expectedCount);
  });

  test("go when the next conversion begins", () => {
    const target = newTarget();
    leave(target, ofProcess(deadProcess));

    convertTo(target);

    expect(namesBeside(target)).toEqual([]);
  });
});
