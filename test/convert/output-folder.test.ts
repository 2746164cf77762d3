import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { hashFile } from "../../src/convert/hash-file.ts";
import { OutputFolder } from "../../src/convert/output-folder.ts";
import { UserError } from "../../src/core/errors.ts";
import { makeManifest } from "./make-manifest.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { namesBeside, newTarget } from "./new-target.ts";

const { files: _, ...manifest } = makeManifest();

function openFolder(target: string, { overwrite = false, key = "key" } = {}): Promise<OutputFolder> {
  return OutputFolder.open(target, { overwrite, key });
}

async function convertTo(target: string, content = "weights", overwrite = false): Promise<void> {
  const output = await openFolder(target, { overwrite });
  output.addFile("decoder.onnx", Buffer.from(content));
  output.commit(manifest, { "decoder.onnx": hashFile(join(output.folder, "decoder.onnx")) });
}

test("a file's digest is its size and SHA-256, also when it does not fit one read", () => {
  const bytes = Buffer.alloc(11_000_003, "some bytes that do not fit one buffer");
  const path = join(temporaryFolder(), "file");
  writeFileSync(path, bytes);

  expect(hashFile(path)).toEqual({ bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
});

test("a broken symbolic link is refused at the beginning: a folder could not take its name at the end", async () => {
  const target = newTarget();
  symlinkSync(join(dirname(target), "nowhere"), target);

  await expect(openFolder(target)).rejects.toThrow(
    new UserError(`${target}: expected a new or empty folder, got a broken symbolic link; delete it or choose another folder`),
  );
  expect(namesBeside(target)).toEqual([]);
});

describe("a committed folder", () => {
  test("holds every file and the manifest, and nothing is left beside it", async () => {
    const target = join(newTarget(), "below", "missing", "folders");

    await convertTo(target);

    const sha256 = createHash("sha256").update("weights").digest("hex");
    const { files } = JSON.parse(readFileSync(join(target, "manifest.json"), "utf8")) as { files: unknown };
    expect(files).toEqual({ "decoder.onnx": { bytes: 7, sha256 } });
    expect(readdirSync(target).toSorted()).toEqual(["decoder.onnx", "manifest.json"]);
    expect(namesBeside(target)).toEqual([]);
  });

  test("has the same manifest, byte for byte, in whatever order the keys came", async () => {
    const digests = { x: { bytes: 1, sha256: "1" }, y: { bytes: 2, sha256: "2" } };
    const reversed = <T extends object>(value: T) => Object.fromEntries(Object.entries(value).toReversed()) as T;
    const [a, b] = [newTarget(), newTarget()];
    (await openFolder(a)).commit(manifest, digests);
    (await openFolder(b)).commit(reversed(manifest), reversed(digests));

    expect(readFileSync(join(a, "manifest.json"), "utf8")).toBe(readFileSync(join(b, "manifest.json"), "utf8"));
  });

  test("takes the place of an empty one, also through a link", async () => {
    const target = newTarget();
    mkdirSync(target);
    const link = `${target}-link`;
    symlinkSync(target, link);

    await convertTo(link);

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("weights");
  });
});

test("the longest name that leaves room for the lock's serves", async () => {
  const target = join(temporaryFolder(), "m".repeat(255 - "..partial.lock".length));

  await convertTo(target);

  expect(namesBeside(target)).toEqual([]);
});

describe("a process that was killed", () => {
  test("while it put the result in place has not lost the earlier one, even if the next conversion fails", async () => {
    const target = newTarget();
    await convertTo(target, "old");
    const killed = await openFolder(target, { overwrite: true });
    renameSync(target, join(dirname(killed.folder), "replaced")); // the first step of a commit
    killed.leave();

    const next = await openFolder(target, { overwrite: true });

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("old");
    next.discard();
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("old");
    await convertTo(target, "new", true);
    expect([readFileSync(join(target, "decoder.onnx"), "utf8"), namesBeside(target)]).toEqual(["new", []]);
  });

  test("while it removed its work leaves nothing after the next conversion", async () => {
    const target = newTarget();
    const killed = await openFolder(target);
    const removed = join(dirname(killed.folder), "removed");
    writeFileSync(join(removed, "decoder.onnx.data"), "half of it");
    killed.leave();

    await convertTo(target);

    expect(namesBeside(target)).toEqual([]);
  });
});

describe("before the commit", () => {
  test("nothing is at the target, and discard leaves nothing anywhere", async () => {
    const target = newTarget();
    const output = await openFolder(target);
    output.addFile("x", Buffer.from("1"));

    expect(existsSync(target)).toBe(false);
    output.discard();
    expect(existsSync(target)).toBe(false);
    expect(namesBeside(target)).toEqual([]);
  });

  test("discard after commit keeps the result", async () => {
    const target = newTarget();
    const output = await openFolder(target);
    output.commit(manifest, {});
    output.discard();

    expect(readdirSync(target)).toEqual(["manifest.json"]);
  });
});

describe("work that was left", () => {
  async function leaveWork(target: string): Promise<void> {
    const output = await openFolder(target);
    writeFileSync(join(output.folder, "data"), "done");
    output.journal.add(3);
    await output.journal.flush(async () => {});
    output.leave();
  }

  test("is there again for the same key", async () => {
    const target = newTarget();
    await leaveWork(target);

    const output = await openFolder(target);

    expect([...output.journal.done]).toEqual([3]);
    expect(readFileSync(join(output.folder, "data"), "utf8")).toBe("done");
    output.discard();
    expect(namesBeside(target)).toEqual([]);
  });

  test("is gone for another key", async () => {
    const target = newTarget();
    await leaveWork(target);

    const output = await openFolder(target, { key: "other" });

    expect(output.journal.done.size).toBe(0);
    expect(readdirSync(output.folder)).toEqual([]);
    output.discard();
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
  ])("is refused and kept when it is or holds %s, overwrite or not", async (_name, prepare, message) => {
    const target = newTarget();
    prepare(target);

    await expect(openFolder(target)).rejects.toThrow(UserError);
    await expect(openFolder(target)).rejects.toThrow(message);
    await expect(openFolder(target, { overwrite: true })).rejects.toThrow(message);
    expect(namesBeside(target)).toEqual([]);
  });

  test("is replaced when it is an earlier conversion and overwrite is set", async () => {
    const target = newTarget();
    await convertTo(target, "old");

    await expect(convertTo(target, "new")).rejects.toThrow("pass --overwrite");
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("old");
    await convertTo(target, "new", true);
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("new");
    expect(namesBeside(target)).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)("is refused when its parent cannot be written", async () => {
    const target = newTarget();
    chmodSync(dirname(target), 0o500);

    await expect(openFolder(target)).rejects.toThrow(/^cannot write .*permission/);
  });
});

describe("two conversions to one target at a time", () => {
  test("the second waits for the first and finds its result", async () => {
    const target = newTarget();
    const first = await openFolder(target);
    const waited: string[] = [];
    const second = OutputFolder.open(target, { overwrite: true, key: "key", onWait: (holder) => waited.push(holder) });
    first.addFile("decoder.onnx", Buffer.from("first"));
    first.commit(manifest, {});

    const output = await second;

    expect([output.isDoneByOther(manifest), output.journal.done.size]).toEqual([true, 0]);
    expect(output.isDoneByOther({ ...manifest, createdBy: "another version" })).toBe(false);
    expect(waited).toEqual([expect.stringContaining(`process ${process.pid} on `)]);
    output.discard();
    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("first");
    expect(namesBeside(target)).toEqual([]);
  });

  test("the second is refused at once when the first has put something else there", async () => {
    const target = newTarget();
    const first = await openFolder(target);
    const second = openFolder(target);
    first.commit({ ...manifest, createdBy: "another version" }, {});

    const output = await second;

    expect(() => output.isDoneByOther(manifest)).toThrow("pass --overwrite");
    output.discard();
  });

  test("the second begins when the first gives up", async () => {
    const target = newTarget();
    const first = await openFolder(target);
    const second = convertTo(target, "second");
    first.discard();
    await second;

    expect(readFileSync(join(target, "decoder.onnx"), "utf8")).toBe("second");
  });

  test("waiting ends when the operator stops it", async () => {
    const target = newTarget();
    const first = await openFolder(target);
    const stopped = OutputFolder.open(target, { overwrite: false, key: "key", signal: AbortSignal.timeout(20) });

    await expect(stopped).rejects.toThrow();
    first.discard();
  });

  test("a target that was filled meanwhile by other means is kept", async () => {
    const target = newTarget();
    const output = await openFolder(target);
    mkdirSync(target);
    writeFileSync(join(target, "thesis.tex"), "");

    expect(() => output.commit(manifest, {})).toThrow("got one with other files");
    output.discard();
    expect(readdirSync(target)).toEqual(["thesis.tex"]);
  });
});
