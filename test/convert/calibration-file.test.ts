import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const visionExpert = Uint8Array.of(0, 1, 1, 0, 0);
const shape = { hiddenSize: 3, layers: [1, 12], visionExpert };

/** Numbers that float16 holds exactly: [tokens, hidden] */
function inputs(layer: number): Float32Array {
  return Float32Array.from({ length: 15 }, (_, i) => (i - 7) / 4 + layer);
}

function newPath(): string {
  return join(temporaryFolder(), "calibration.safetensors");
}

function writeFile(path = newPath()): string {
  const writer = new CalibrationWriter(path, shape);
  writer.append(12, 3, inputs(12).subarray(9));
  writer.append(1, 0, inputs(1));
  writer.append(12, 0, inputs(12).subarray(0, 9));
  writer.finish();
  return path;
}

describe("a calibration file", () => {
  test("gives back what was appended, in whatever order it came", () => {
    const file = CalibrationFile.open(writeFile());

    expect([file.hiddenSize, file.tokenCount, file.layers, file.visionExpert]).toEqual([3, 5, [1, 12], visionExpert]);
    expect(file.layer(1)).toEqual(inputs(1));
    expect(file.layer(12)).toEqual(inputs(12));
    expect(file.rows(12, 1, 2)).toEqual(inputs(12).subarray(3, 9));
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
    writer.append(1, 0, inputs(1));

    expect(existsSync(path)).toBe(false);
    expect(() => writer.finish()).toThrow("15 values of layer 12 are missing");
    writer.discard();
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  test("whose name is taken at the end leaves nothing of itself either", () => {
    const path = newPath();
    const writer = new CalibrationWriter(path, { hiddenSize: 1, layers: [1], visionExpert: Uint8Array.of(0) });
    writer.append(1, 0, Float32Array.of(1));
    mkdirSync(path);

    expect(() => writer.finish()).toThrow(/^cannot write .*: illegal operation on a directory; check the folder/);
    writer.discard();
    expect(readdirSync(dirname(path))).toEqual([basename(path)]);
  });

  test.each([Number.NaN, Infinity, -70000])("is not written with %f in it", (value) => {
    const writer = new CalibrationWriter(newPath(), shape);

    expect(() => writer.append(12, 4, Float32Array.of(1, value, 2))).toThrow(
      new UserError(`layer 12: expected inputs of the experts within ±65504, got ${value}; is the checkpoint intact?`),
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
    [
      "its layers have other names",
      (path, bytes) => writeFileSync(path, rename(bytes, "layers.1.", "layers.x.")),
      /is not a calibration file/,
    ],
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

  test("a layer holds what is not a number", () => {
    const path = writeFile();
    writeFileSync(path, patchHalf(readFileSync(path), 5 + 15 + 4, 0x7e00));
    const file = CalibrationFile.open(path);

    expect(() => file.rows(12, 0, 1)).not.toThrow();
    expect(() => file.layer(12)).toThrow(new RegExp(`^${path} is damaged: layers\\.12\\.input holds numbers .* make it again`));
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
