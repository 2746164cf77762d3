import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const visionExpert = Uint8Array.of(0, 1, 1, 0, 0);
const inputs = new Map([
  ["layers.1.experts", 3],
  ["head", 2],
]);
const shape = { inputs, visionExpert };

/** Numbers that float16 holds exactly: [tokens, width] */
function numbersOf(name: string): Float32Array {
  return Float32Array.from({ length: 5 * inputs.get(name)! }, (_, i) => (i - 7) / 4 + name.length);
}

function newPath(): string {
  return join(temporaryFolder(), "calibration.safetensors");
}

function writeFile(path = newPath()): string {
  const writer = new CalibrationWriter(path, shape);
  writer.append("head", 3, numbersOf("head").subarray(6));
  writer.append("layers.1.experts", 0, numbersOf("layers.1.experts"));
  writer.append("head", 0, numbersOf("head").subarray(0, 6));
  writer.finish();
  return path;
}

describe("a calibration file", () => {
  test("gives back what was appended, in whatever order it came", () => {
    const file = CalibrationFile.open(writeFile());

    expect([file.tokenCount, file.inputs, file.visionExpert]).toEqual([5, inputs, visionExpert]);
    for (const name of inputs.keys()) expect(file.rows(name, 0, 5)).toEqual(numbersOf(name));
    expect(file.rows("head", 1, 2)).toEqual(numbersOf("head").subarray(2, 6));
    file.close();
  });

  test("has a hash that tells its content", () => {
    const [path, other] = [writeFile(), newPath()];
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(other, bytes);
    const hashes = [path, writeFile(), other].map((name) => CalibrationFile.open(name).sha256);

    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });

  test("has its name only when it is complete, and nothing is left of a run that is given up", () => {
    const path = newPath();
    const writer = new CalibrationWriter(path, shape);
    writer.append("layers.1.experts", 0, numbersOf("layers.1.experts"));

    expect(existsSync(path)).toBe(false);
    expect(() => writer.finish()).toThrow("10 values of head are missing");
    writer.discard();
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  test("whose name is taken at the end leaves nothing of itself either", () => {
    const path = newPath();
    const writer = new CalibrationWriter(path, { inputs: new Map([["head", 1]]), visionExpert: Uint8Array.of(0) });
    writer.append("head", 0, Float32Array.of(1));
    mkdirSync(path);

    expect(() => writer.finish()).toThrow(/^cannot write .*: illegal operation on a directory; check the folder/);
    writer.discard();
    expect(readdirSync(dirname(path))).toEqual([basename(path)]);
  });

  test.each([Number.NaN, Infinity, -70000])("is not written with %f in it", (value) => {
    const writer = new CalibrationWriter(newPath(), shape);

    expect(() => writer.append("head", 4, Float32Array.of(1, value))).toThrow(
      new UserError(`head: expected inputs within ±65504, got ${value}; is the checkpoint intact?`),
    );
    writer.discard();
  });

  test("that cannot be written is the operator's error", () => {
    const path = join(temporaryFolder(), "missing", "calibration");

    expect(() => new CalibrationWriter(path, shape)).toThrow(UserError);
  });
});

describe("one clear error names the file when", () => {
  test.each<[string, (path: string, bytes: Buffer) => void, RegExp]>([
    ["it is cut short", (path, bytes) => truncateSync(path, bytes.length - 2), /damaged or cut short/],
    ["it is empty", (path) => truncateSync(path, 0), /damaged or cut short/],
    ["its header claims too much", (path, bytes) => writeFileSync(path, bytes.fill(255, 0, 8)), /damaged or cut short/],
    ["it is another kind of file", (path) => writeFileSync(path, "not a calibration file, but long enough for a header"), /damaged/],
    ["an input is of other tokens", (path, bytes) => writeFileSync(path, rename(bytes, "[5,3]", "[3,5]")), /is not a calibration file/],
    ["nobody says whose token is whose", (path, bytes) => writeFileSync(path, rename(bytes, "vision_", "visual_")), /is not a calibration/],
    ["a token belongs to bank 2", (path, bytes) => writeFileSync(path, patchHalf(bytes, 0, 0x4000)), /is damaged: vision_expert holds/],
  ])("%s", (_name, damage, message) => {
    const path = writeFile();
    damage(path, readFileSync(path));
    const open = () => CalibrationFile.open(path);

    expect(open).toThrow(UserError);
    expect(open).toThrow(message);
    expect(open).toThrow(path);
  });

  test("an input holds what is not a number", () => {
    const path = writeFile();
    writeFileSync(path, patchHalf(readFileSync(path), 5 + 15 + 4, 0x7e00) /* token 2 of the head */);
    const file = CalibrationFile.open(path);

    expect(() => file.rows("head", 0, 2)).not.toThrow();
    expect(() => file.rows("head", 2, 1)).toThrow(new RegExp(`^${path} is damaged: head holds numbers .* make it again`));
  });
});

function rename(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString("latin1").replace(from, to), "latin1");
}

/** Replaces the float16 number at `index` of the data. */
function patchHalf(bytes: Buffer, index: number, half: number): Buffer {
  const dataOffset = 8 + Number(bytes.readBigUInt64LE());
  bytes.writeUInt16LE(half, dataOffset + 2 * index);
  return bytes;
}
