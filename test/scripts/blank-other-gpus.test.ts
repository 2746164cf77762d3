import { describe, expect, test } from "vitest";

// A program that Node runs as it is has no types.
const file = "../../scripts/gpu/blank-other-gpus.mjs";
const { blankOtherGpus } = (await import(file)) as { blankOtherGpus: (library: Buffer, capability: number) => number };

/** An entry of a container: 64 bytes of header, then its code. */
function entry(capability: number, code: Buffer): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt16LE(2, 0);
  header.writeUInt32LE(header.length, 4);
  header.writeBigUInt64LE(BigInt(code.length), 8);
  header.writeUInt32LE(capability, 28);
  return Buffer.concat([header, code]);
}

function container(...entries: Buffer[]): Buffer {
  const body = Buffer.concat(entries);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeBigUInt64LE(BigInt(body.length), 8);
  return Buffer.concat([header, body]);
}

const [a100, h200] = [Buffer.from("code of an A100 "), Buffer.from("code of an H200 ")];

describe("a library without the code of other GPUs", () => {
  test("keeps its length, its headers and the code of the one GPU, in every container", () => {
    const around = Buffer.from("host code");
    const library = Buffer.concat([
      around,
      container(entry(80, a100), entry(90, h200)),
      around,
      container(entry(90, h200), entry(120, a100)),
    ]);

    const blanked = blankOtherGpus(library, 90);

    const nothing = Buffer.alloc(a100.length);
    const expected = [around, container(entry(80, nothing), entry(90, h200)), around, container(entry(90, h200), entry(120, nothing))];
    expect(library.equals(Buffer.concat(expected))).toBe(true);
    expect(blanked).toBe(2 * a100.length);
  });

  test("is left alone where it has none", () => {
    const library = Buffer.from("a library of the CPU's");

    expect(blankOtherGpus(library, 90)).toBe(0);
    expect(library.toString()).toBe("a library of the CPU's");
  });

  test("is refused when its code is packed in another way", () => {
    const library = container(entry(80, a100));
    library.writeBigUInt64LE(1n << 20n, 16 + 8);

    expect(() => blankOtherGpus(library, 90)).toThrow("not packed as expected");
  });
});
