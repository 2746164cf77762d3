// The file of a shared library that has nothing but named sections.

const headerBytes = 64;
const sectionHeaderBytes = 64;

/** Content by name of section; each ends with a zero, as a C string does. */
export function makeLibrary(sections: Readonly<Record<string, string>>): Buffer {
  const names = ["", ...Object.keys(sections), ".shstrtab"];
  const nameTable = names.map((name) => `${name}\0`).join("");
  const contents = ["", ...Object.values(sections).map((text) => `${text}\0`), nameTable].map((text) => Buffer.from(text, "latin1"));
  const header = Buffer.alloc(headerBytes);
  header.write("\x7fELF\x02\x01", "latin1");
  header.writeBigUInt64LE(BigInt(headerBytes), 40); // where the table of sections is
  header.writeUInt16LE(sectionHeaderBytes, 58);
  header.writeUInt16LE(names.length, 60);
  header.writeUInt16LE(names.length - 1, 62); // which of them has the names
  let offset = headerBytes + names.length * sectionHeaderBytes;
  const table = contents.map((content, i) => {
    const entry = Buffer.alloc(sectionHeaderBytes);
    entry.writeUInt32LE(
      names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0),
      0,
    );
    entry.writeBigUInt64LE(BigInt(offset), 24);
    entry.writeBigUInt64LE(BigInt(content.length), 32);
    offset += content.length;
    return entry;
  });
  return Buffer.concat([header, ...table, ...contents]);
}

/** A container of device code as nvcc packs it, with an entry of so many bytes for each compute capability; its length is a multiple of 8. */
export function makeFatbin(
  entries: readonly (readonly [capability: number, kind: "intermediate" | "machine", byteLength: number])[],
): string {
  const body = entries.map(([capability, kind, byteLength]) => {
    const entry = Buffer.alloc(64 + Math.ceil(byteLength / 8) * 8);
    entry.writeUInt16LE(kind === "intermediate" ? 1 : 2, 0);
    entry.writeUInt32LE(64, 4);
    entry.writeBigUInt64LE(BigInt(entry.length - 64), 8);
    entry.writeUInt32LE(capability, 28);
    return entry;
  });
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(header.length, 6);
  header.writeBigUInt64LE(BigInt(body.reduce((sum, { length }) => sum + length, 0)), 8);
  return Buffer.concat([header, ...body]).toString("latin1");
}
