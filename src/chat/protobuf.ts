// Reads the fields of a protocol buffer message, strictly: whatever the bytes claim, nothing is read beyond them.

/** One field as it stands in the message; which value it has depends on how it was written. */
export type ProtoField =
  | { readonly number: number; readonly kind: "varint"; readonly value: number }
  | { readonly number: number; readonly kind: "fixed32" | "fixed64" | "bytes"; readonly bytes: Uint8Array };

/** Throws Error when the bytes are no message. `bytes` of a field is a view, not a copy. */
export function* readFields(message: Uint8Array): Generator<ProtoField, void> {
  const reader = new Reader(message);
  while (!reader.isAtEnd) {
    const key = reader.varint();
    const number = Math.floor(key / 8);
    if (number < 1 || number >= 2 ** 29) throw new Error(`no field has number ${number}`);
    const wireType = key % 8;
    if (wireType === 0) yield { number, kind: "varint", value: reader.varint() };
    else if (wireType === 1) yield { number, kind: "fixed64", bytes: reader.take(8) };
    else if (wireType === 2) yield { number, kind: "bytes", bytes: reader.take(reader.varint()) };
    else if (wireType === 5) yield { number, kind: "fixed32", bytes: reader.take(4) };
    else throw new Error(`field ${number} has the unknown wire type ${wireType}`);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  /** As a double: exact up to 2^53, which is beyond every length, id and flag. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#position++];
      if (byte === undefined) throw new Error("it ends inside a number");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error("a number has more than ten bytes");
  }

  take(length: number): Uint8Array {
    const left = this.#bytes.length - this.#position;
    if (length > left) throw new Error(`a field claims ${length} bytes where ${left} are left`);
    const start = this.#position;
    this.#position += length;
    return this.#bytes.subarray(start, this.#position);
  }
}
