// The file of a calibration run: what int4 matrices got as inputs. It is a safetensors file of float16 tensors: the inputs that
// calibrated-inputs.ts names, each [tokens, width], and `vision_expert` [tokens], 1 for the tokens that the vision bank serves.

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { elementCount } from "../core/data-type.ts";
import { assert, UserError } from "../core/errors.ts";
import { writing } from "../core/file-system.ts";
import { toFloat16 } from "../core/half.ts";
import { hashFile } from "./hash-file.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";

const bankName = "vision_expert";
const remedy = "make it again with a calibration run";

type CalibrationShape = {
  /** Name → numbers of a token. */
  readonly inputs: ReadonlyMap<string, number>;
  /** [tokens] 1 where the vision bank serves the token */
  readonly visionExpert: Uint8Array;
};

/** Writes to a temporary file beside `path`, which `finish` renames to `path`. End with `finish` or `discard`. */
export class CalibrationWriter {
  readonly #path: string;
  readonly #partialPath: string;
  readonly #fd: number;
  readonly #tokenCount: number;
  /** Name → where its values begin in the file, and how many of them are still to come. */
  readonly #inputs: ReadonlyMap<string, { readonly fileOffset: number; readonly width: number; missing: number }>;

  /** Throws a UserError when the file cannot be written. */
  constructor(path: string, { inputs, visionExpert }: CalibrationShape) {
    this.#path = path;
    this.#partialPath = `${path}.partial`;
    this.#tokenCount = visionExpert.length;
    const tokenCount = visionExpert.length;
    const header = encodeHeader([
      { name: bankName, shape: [tokenCount] },
      ...[...inputs].map(([name, width]) => ({ name, shape: [tokenCount, width] })),
    ]);
    let fileOffset = header.length + 2 * tokenCount;
    const places = [...inputs].map(([name, width]) => {
      const place = { fileOffset, width, missing: tokenCount * width };
      fileOffset += 2 * place.missing;
      return [name, place] as const;
    });
    this.#inputs = new Map(places);
    this.#fd = writing(this.#partialPath, () => openSync(this.#partialPath, "w"));
    this.#write(header, 0);
    this.#write(toFloat16(Float32Array.from(visionExpert)), header.length);
  }

  /**
   * Writes the values [n, width] of one input for tokens `firstToken` … `firstToken + n − 1`. Each token comes once. Throws a UserError when
   * float16 cannot hold a number, or when writing fails.
   */
  append(name: string, firstToken: number, values: Float32Array): void {
    const place = this.#inputs.get(name);
    assert(place && firstToken + values.length / place.width <= this.#tokenCount, `calibration of ${name} from ${firstToken} on`);
    const halves = toFloat16(values);
    const wrong = halves.findIndex((half) => (half & 0x7c00) === 0x7c00);
    if (wrong >= 0) {
      throw new UserError(`${name}: expected inputs within ±65504, got ${values[wrong]}; is the checkpoint intact?`);
    }
    this.#write(halves, place.fileOffset + 2 * firstToken * place.width);
    place.missing -= values.length;
  }

  /** Moves the complete file into place. */
  finish(): void {
    for (const [name, { missing }] of this.#inputs) assert(missing === 0, `${missing} values of ${name} are missing`);
    writing(this.#path, () => {
      fsyncSync(this.#fd);
      renameSync(this.#partialPath, this.#path); // after a failure before this line, `discard` still has a file to close
      closeSync(this.#fd);
    });
  }

  /** Removes the partial file of a run that is given up. */
  discard(): void {
    closeSync(this.#fd);
    rmSync(this.#partialPath, { force: true });
  }

  #write(content: Uint8Array | Uint16Array, position: number): void {
    const bytes = new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
    for (let done = 0; done < bytes.length;) {
      done += writing(this.#partialPath, () => writeSync(this.#fd, bytes, done, bytes.length - done, position + done));
    }
  }
}

export class CalibrationFile {
  readonly path: string;
  readonly tokenCount: number;
  /** Name → numbers of a token. */
  readonly inputs: ReadonlyMap<string, number>;
  /** [tokens] 1 where the vision bank serves the token */
  readonly visionExpert: Uint8Array;
  readonly #file: SafetensorsFile;

  /** Checks the header and the file's length. Throws a UserError when the file is not a calibration file or is damaged. */
  static open(path: string): CalibrationFile {
    const file = new SafetensorsFile(path);
    try {
      return new CalibrationFile(file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  private constructor(file: SafetensorsFile) {
    this.#file = file;
    this.path = file.path;
    const bank = file.tensors.get(bankName);
    const [tokenCount = 0] = bank?.shape ?? [];
    const inputs = [...file.tensors.values()].filter((entry) => entry !== bank);
    const isInput = ({ dtype, shape }: TensorEntry) => dtype === "F16" && shape.length === 2 && shape[0] === tokenCount && shape[1]! > 0;
    if (bank?.dtype !== "F16" || bank.shape.length !== 1 || tokenCount * inputs.length === 0 || !inputs.every(isInput)) {
      throw new UserError(`${file.path} is not a calibration file: expected ${bankName} and inputs of matrices in float16; ${remedy}`);
    }
    this.tokenCount = tokenCount;
    this.inputs = new Map(inputs.map(({ name, shape }) => [name, shape[1]!]));
    this.visionExpert = Uint8Array.from(this.#read(bank, 0, tokenCount));
    if (this.visionExpert.some((bit) => bit > 1)) throw this.#damaged(bankName);
  }

  /** SHA-256 of the file in hex; reads the whole file. */
  get sha256(): string {
    return hashFile(this.path).sha256;
  }

  /** Tokens `firstToken` … `firstToken + count − 1` of an input: [count, width]. Throws a UserError when the file is damaged. */
  rows(name: string, firstToken: number, count: number): Float32Array {
    const [entry, width] = [this.#file.tensors.get(name), this.inputs.get(name)];
    assert(entry && width, `${name} is not in ${this.path}`);
    return this.#read(entry, firstToken * width, count * width);
  }

  close(): void {
    this.#file.close();
  }

  #read(entry: TensorEntry, start: number, count: number): Float32Array {
    const values = this.#file.readFloat32(entry, start, count);
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) throw this.#damaged(entry.name);
    return values;
  }

  #damaged(name: string): UserError {
    return new UserError(`${this.path} is damaged: ${name} holds numbers that no calibration run writes; ${remedy}`);
  }
}

/** The header for float16 tensors stored one after the other, padded so that the data starts at a multiple of 8 bytes. */
function encodeHeader(tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, shape }) => {
    const begin = end;
    end += 2 * elementCount(shape);
    return [name, { dtype: "F16", shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}
