import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SafetensorsFile } from "../../src/convert/safetensors.ts";
import { UserError } from "../../src/core/errors.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { safetensorsBytes } from "./tiny-checkpoint.ts";

const path = join(temporaryFolder(), "a.safetensors");

function openBytes(bytes: Uint8Array): SafetensorsFile {
  writeFileSync(path, bytes);
  return new SafetensorsFile(path);
}

function openHeader(header: unknown, data: Uint8Array = new Uint8Array()): SafetensorsFile {
  return openBytes(safetensorsBytes(typeof header === "string" ? header : JSON.stringify(header), data));
}

function bytesOf(array: Uint16Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer);
}

describe("reading", () => {
  const numbers = Float32Array.of(1.5, -2, 0, 3.25, Infinity, -0.15625);
  const bfloat16 = Uint16Array.from(new Uint32Array(numbers.buffer), (bits) => bits >>> 16);
  const float16 = Uint16Array.of(0x3e00, 0xc000, 0, 0x4280, 0x7c00, 0xb100);

  test.each([
    ["F32", bytesOf(numbers)],
    ["BF16", bytesOf(bfloat16)],
    ["F16", bytesOf(float16)],
  ])("%s comes as float32, whole and in part", (dtype, data) => {
    // One byte in front puts the tensor where no typed array could view it.
    const file = openHeader(
      { x: { dtype: "U8", shape: [1], data_offsets: [0, 1] }, t: { dtype, shape: [3, 2], data_offsets: [1, 1 + data.length] } },
      Buffer.concat([Uint8Array.of(7), data]),
    );
    const tensor = file.tensors.get("t")!;

    expect(file.readFloat32(tensor)).toEqual(numbers);
    expect(file.readFloat32(tensor, 2, 3)).toEqual(numbers.slice(2, 5));
    expect(file.readFloat32(tensor, 4)).toEqual(numbers.slice(4));
    file.close();
  });

  test("every bfloat16 bit pattern keeps its bits", () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const file = openHeader({ t: { dtype: "BF16", shape: [65536], data_offsets: [0, 131072] } }, bytesOf(patterns));

    const bits = new Uint32Array(file.readFloat32(file.tensors.get("t")!).buffer);

    expect(bits).toEqual(Uint32Array.from(patterns, (pattern) => pattern << 16));
    file.close();
  });

  test("an integer tensor is listed but cannot be read as numbers", () => {
    const file = openHeader({ t: { dtype: "I8", shape: [2], data_offsets: [0, 2] } }, new Uint8Array(2));

    expect(() => file.readFloat32(file.tensors.get("t")!)).toThrow("t: expected BF16, F16 or F32 numbers, got I8");
    file.close();
  });

  test("scalars, empty tensors, metadata and padding are part of the format", () => {
    const header = {
      __metadata__: { format: "pt" },
      scalar: { dtype: "F32", shape: [], data_offsets: [0, 4] },
      empty: { dtype: "F32", shape: [0, 5], data_offsets: [4, 4] },
    };
    const file = openHeader(`${JSON.stringify(header)}    `, bytesOf(Float32Array.of(5)));

    expect([...file.tensors.keys()].toSorted()).toEqual(["empty", "scalar"]);
    expect(file.readFloat32(file.tensors.get("scalar")!)).toEqual(Float32Array.of(5));
    expect(file.readFloat32(file.tensors.get("empty")!)).toEqual(new Float32Array());
    file.close();
  });

  test("a file cut short after it was opened is reported, not read as zeros", () => {
    const file = openHeader({ t: { dtype: "F32", shape: [4], data_offsets: [0, 16] } }, new Uint8Array(16));
    writeFileSync(path, safetensorsBytes("{}", new Uint8Array(0)));

    expect(() => file.readFloat32(file.tensors.get("t")!)).toThrow(/more bytes at .*, got the end of the file/);
    file.close();
  });
});

test("a folder in place of the file is the operator's error", () => {
  const folder = temporaryFolder();

  expect(() => new SafetensorsFile(folder)).toThrow(new UserError(`cannot read ${folder}: illegal operation on a directory`));
});

describe("a damaged file is refused with one line that names it:", () => {
  const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]): object => ({
    dtype: "F32",
    shape,
    data_offsets: [begin, end],
  });
  const lengthOnly = (length: bigint): Buffer => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(length);
    return bytes;
  };
  const cases: [string, Uint8Array, string][] = [
    ["empty", new Uint8Array(), "a file of 0 bytes"],
    ["seven bytes", new Uint8Array(7), "a file of 7 bytes"],
    ["a Git LFS pointer", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "got a Git LFS pointer"],
    ["a header longer than the file", lengthOnly(9n), "at most 8 bytes, got a length of 9"],
    ["a length beyond 2^53", lengthOnly(2n ** 64n - 1n), "got a length of 18446744073709551615"],
    ["bytes that are not UTF-8", Buffer.concat([lengthOnly(8n).subarray(0, 8), Buffer.alloc(8, 0xff)]), "header in UTF-8"],
    ["no JSON", safetensorsBytes("{{{", new Uint8Array()), "header in JSON"],
    ["a list as header", safetensorsBytes("[1]", new Uint8Array()), "a JSON object"],
    ["null as header", safetensorsBytes("null", new Uint8Array()), "a JSON object"],
    ["an entry that is no object", safetensorsBytes('{"t":3}', new Uint8Array()), "t: expected a dtype"],
    ["an unknown dtype", header({ t: { ...f32(0, 4), dtype: "F7" } }, 4), 'a dtype such as BF16 or F32, got "F7"'],
    ["a dtype named like an object's method", header({ t: { ...f32(0, 4), dtype: "toString" } }, 4), 'got "toString"'],
    ["a negative length", header({ t: f32(0, 4, [-1]) }, 4), "a shape of whole numbers, got [-1]"],
    ["a fraction as length", header({ t: f32(0, 4, [0.5]) }, 4), "a shape of whole numbers, got [0.5]"],
    ["no shape", header({ t: { dtype: "F32", data_offsets: [0, 4] } }, 4), "a shape of whole numbers, got undefined"],
    ["one offset", header({ t: { dtype: "F32", shape: [1], data_offsets: [4] } }, 4), "data_offsets [begin, end], got [4]"],
    ["a size that is not the shape's", header({ t: f32(0, 8, [1]) }, 8), "expected 4 bytes for F32 [1], got 8"],
    ["a shape whose product overflows", header({ t: f32(0, 4, [2 ** 40, 2 ** 40]) }, 4), "got 4"],
    ["a gap", header({ a: f32(0, 4), b: f32(8, 12) }, 12), "expected b to start at byte 4 of the data, got 8"],
    ["an overlap", header({ a: f32(0, 8), b: f32(4, 12) }, 12), "expected b to start at byte 8 of the data, got 4"],
    ["data cut short", header({ a: f32(0, 8) }, 7), "expected 8 bytes of data after the header, got 7"],
    ["data left over", header({ a: f32(0, 8) }, 9), "expected 8 bytes of data after the header, got 9"],
    ["a name with a line break", header({ "a\nb": f32(0, 4) }, 4), 'printable tensor names, got "a\\nb"'],
    [
      "a name twice",
      safetensorsBytes(`{"t":${JSON.stringify(f32(0, 4))},"\\u0074":${JSON.stringify(f32(0, 4))}}`, new Uint8Array(4)),
      "a name twice",
    ],
  ];

  test.each(cases)("%s", (_, bytes, message) => {
    const open = (): SafetensorsFile => openBytes(bytes);

    expect(open).toThrow(UserError);
    expect(open).toThrow(message);
    expect(open).toThrow(path);
  });

  test("a file that is not there", () => {
    expect(() => new SafetensorsFile(`${path}.missing`)).toThrow(UserError);
  });

  function header(value: unknown, dataBytes: number): Buffer {
    return safetensorsBytes(JSON.stringify(value), new Uint8Array(dataBytes));
  }
});

test("whatever bytes a file has, it is refused or all its tensors can be read", () => {
  const valid = safetensorsBytes(
    JSON.stringify({
      a: { dtype: "BF16", shape: [2, 3], data_offsets: [0, 12] },
      b: { dtype: "F32", shape: [2], data_offsets: [12, 20] },
      c: { dtype: "F16", shape: [1], data_offsets: [20, 22] },
    }),
    new Uint8Array(22),
  );
  const edit = fc.record({ at: fc.nat(valid.length - 1), byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0129,:"[]{}-eE'))) });
  const edited = fc.tuple(fc.array(edit, { maxLength: 4 }), fc.nat(valid.length)).map(([edits, kept]) => {
    const bytes = Buffer.from(valid);
    for (const { at, byte } of edits) bytes[at] = byte;
    return kept < 4 ? bytes : bytes.subarray(0, valid.length - (kept % 8));
  });
  let openedCount = 0;

  fc.assert(
    fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      let file: SafetensorsFile;
      try {
        file = openBytes(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        expect((error as UserError).message).not.toContain("\n");
        return;
      }
      openedCount++;
      for (const tensor of file.tensors.values()) {
        if (["BF16", "F16", "F32"].includes(tensor.dtype)) expect(file.readFloat32(tensor)).toHaveLength(tensor.elementCount);
      }
      file.close();
    }),
    { numRuns: 2000 },
  );

  expect(openedCount).toBeGreaterThan(20); // edits of the data, or none
});
