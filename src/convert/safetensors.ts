// Reads one .safetensors file: 8 bytes of header length, a JSON header, then the tensors back to back. The header is untrusted
// and is checked completely before use; tensors are read in pieces, never the whole file.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { elementCount } from "../core/data-type.ts";
import { UserError } from "../core/errors.ts";
import { reading, refuseLfsPointer } from "../core/file-system.ts";
import { fromFloat16 } from "../core/half.ts";

const bytesPerElement: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** The format's own limit. */
const maxHeaderBytes = 100_000_000;
/** One read call moves less than 2^31 bytes. */
const maxReadBytes = 2 ** 30;

export type TensorEntry = {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly elementCount: number;
  /** Where the tensor starts in the file, in bytes. */
  readonly fileOffset: number;
};

export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #fd: number;

  /** Opens the file and checks its header. Throws a UserError when either fails. */
  constructor(path: string) {
    this.path = path;
    this.#fd = reading(path, () => openSync(path, "r"));
    try {
      this.tensors = parseHeader(path, ...readHeader(path, this.#fd));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Elements [start, start + count) of a BF16, F16 or F32 tensor in row-major order, as float32.
   * Throws a UserError for another dtype and when the file ends early.
   */
  readFloat32(tensor: TensorEntry, start = 0, count = tensor.elementCount - start): Float32Array {
    const { dtype } = tensor;
    if (dtype !== "BF16" && dtype !== "F16" && dtype !== "F32") {
      throw new UserError(`${this.path}: ${tensor.name}: expected BF16, F16 or F32 numbers, got ${dtype}; use an unquantized checkpoint`);
    }
    const position = tensor.fileOffset + start * bytesPerElement[dtype]!;
    if (dtype === "F16") {
      const raw = new Uint16Array(count);
      this.#readAt(new Uint8Array(raw.buffer), position);
      return fromFloat16(raw);
    }
    const values = new Float32Array(count);
    if (dtype === "F32") this.#readAt(new Uint8Array(values.buffer), position);
    else {
      this.#readAt(new Uint8Array(values.buffer, 2 * count), position);
      widenBfloat16(values);
    }
    return values;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #readAt(target: Uint8Array, position: number): void {
    readFully(this.path, this.#fd, target, position);
  }
}

/**
 * Turns bfloat16 numbers in the back half of the memory of `values` into float32, in place and front to back: element i is
 * read from bytes 2·count + 2i and written to bytes 4i … 4i+3, which no later element still needs.
 */
function widenBfloat16(values: Float32Array<ArrayBuffer>): void {
  const raw = new Uint16Array(values.buffer, 2 * values.length);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = raw[i]! << 16;
}

/** Reads exactly `target.length` bytes from `position` on. */
function readFully(path: string, fd: number, target: Uint8Array, position: number): void {
  for (let done = 0; done < target.length;) {
    const length = Math.min(target.length - done, maxReadBytes);
    const count = reading(path, () => readSync(fd, target, done, length, position + done));
    if (count === 0) throw broken(path, `expected ${target.length - done} more bytes at ${position + done}, got the end of the file`);
    done += count;
  }
}

/** The header's text, and the bytes of the file before and after its end. */
function readHeader(path: string, fd: number): [text: string, dataOffset: number, dataBytes: number] {
  const fileBytes = fstatSync(fd).size;
  if (fileBytes < 10) throw broken(path, `expected a safetensors header, got a file of ${fileBytes} bytes`);
  const start = new Uint8Array(Math.min(fileBytes, 64));
  readFully(path, fd, start, 0);
  refuseLfsPointer(path, start);
  const headerBytes = new DataView(start.buffer).getBigUint64(0, true);
  if (headerBytes > maxHeaderBytes || headerBytes > fileBytes - 8) {
    const limit = Math.min(maxHeaderBytes, fileBytes - 8);
    throw broken(path, `expected a header of at most ${limit} bytes, got a length of ${headerBytes}`);
  }
  const header = new Uint8Array(Number(headerBytes));
  readFully(path, fd, header, 8);
  try {
    return [new TextDecoder("utf-8", { fatal: true }).decode(header), 8 + header.length, fileBytes - 8 - header.length];
  } catch {
    throw broken(path, "expected a header in UTF-8, got other bytes");
  }
}

/** Checks all that the format requires: entries are well-formed and unique, and cover the data without gap or overlap. */
function parseHeader(path: string, text: string, dataOffset: number, dataBytes: number): Map<string, TensorEntry> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch {
    throw broken(path, "expected a header in JSON, got other text");
  }
  if (!isRecord(header)) throw broken(path, "expected a JSON object as header, got another value");
  const fields = Object.entries(header);
  if (countMembers(text) !== fields.length) throw broken(path, "expected every tensor once in the header, got a name twice");
  const spans = fields
    .filter(([name]) => name !== "__metadata__")
    .map(([name, value]) => parseEntry(path, name, value))
    .toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const span of spans) {
    if (span.begin !== end) throw broken(path, `expected ${span.name} to start at byte ${end} of the data, got ${span.begin}`);
    end = span.end;
  }
  if (end !== dataBytes) throw broken(path, `expected ${end} bytes of data after the header, got ${dataBytes}`);
  return new Map(
    spans.map(({ name, dtype, shape, elementCount, begin }) => [
      name,
      { name, dtype, shape, elementCount, fileOffset: dataOffset + begin },
    ]),
  );
}

type Span = Omit<TensorEntry, "fileOffset"> & { readonly begin: number; readonly end: number };

function parseEntry(path: string, name: string, value: unknown): Span {
  // Names end up in messages and on terminals.
  if (/\p{Cc}/u.test(name)) throw broken(path, `expected printable tensor names, got ${JSON.stringify(name)}`);
  const { dtype, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const width = typeof dtype === "string" && Object.hasOwn(bytesPerElement, dtype) ? bytesPerElement[dtype] : undefined;
  if (typeof dtype !== "string" || width === undefined) {
    throw broken(path, `${name}: expected a dtype such as BF16 or F32, got ${JSON.stringify(dtype)}`);
  }
  if (!isCountList(shape)) throw broken(path, `${name}: expected a shape of whole numbers, got ${JSON.stringify(shape)}`);
  if (!isCountList(offsets) || offsets.length !== 2) {
    throw broken(path, `${name}: expected data_offsets [begin, end], got ${JSON.stringify(offsets)}`);
  }
  const [begin, end] = offsets as [number, number];
  const count = elementCount(shape);
  if (end - begin !== count * width) {
    throw broken(path, `${name}: expected ${count * width} bytes for ${dtype} [${shape.join(", ")}], got ${end - begin}`);
  }
  return { name, dtype, shape, elementCount: count, begin, end };
}

/** Members of the outermost object of a JSON text. JSON.parse silently keeps the last of two equal names; this counts both. */
function countMembers(json: string): number {
  let depth = 0;
  let count = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const character = json[i];
    if (quoted && character === "\\") i++;
    else if (character === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === ":" && depth === 1) count++;
  }
  return count;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function broken(path: string, fault: string): UserError {
  return new UserError(`${path} is damaged or cut short: ${fault}; get the file again`);
}
