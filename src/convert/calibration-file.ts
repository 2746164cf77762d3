// What the routed experts were fed in a calibration run: a safetensors file of float16 numbers with `vision_expert` [tokens], 1 where the
// vision bank serves, and for each layer with experts `layers.N.input` [tokens, hidden], what its routers and experts see.

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { assert, UserError } from "../core/errors.ts";
import { toFloat16 } from "../core/half.ts";
import { hashFile } from "./hash-file.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";
import { writing } from "./file-errors.ts";

const bankName = "vision_expert";
const layerPattern = /^layers\.(\d+)\.input$/;
const remedy = "make it again with a calibration run";

export type CalibrationShape = {
  readonly hiddenSize: number;
  /** Layers with experts. */
  readonly layers: readonly number[];
  /** [tokens] 1 where the vision bank serves the token */
  readonly visionExpert: Uint8Array;
};

/** Writes beside `path` and takes that name when everything is there; ends with `finish` or `discard`. */
export class CalibrationWriter {
  readonly #path: string;
  readonly #partialPath: string;
  readonly #fd: number;
  readonly #hiddenSize: number;
  readonly #tokenCount: number;
  /** Layer → where its values begin in the file, and how many of them are still to come. */
  readonly #layers: ReadonlyMap<number, { readonly fileOffset: number; missing: number }>;

  /** Throws a UserError when the file cannot be written. */
  constructor(path: string, { hiddenSize, layers, visionExpert }: CalibrationShape) {
    this.#path = path;
    this.#partialPath = `${path}.partial`;
    this.#hiddenSize = hiddenSize;
    this.#tokenCount = visionExpert.length;
    const valueCount = this.#tokenCount * hiddenSize;
    const bankBytes = 2 * this.#tokenCount;
    const header = encodeHeader([
      { name: bankName, shape: [this.#tokenCount] },
      ...layers.map((layer) => ({ name: `layers.${layer}.input`, shape: [this.#tokenCount, hiddenSize] })),
    ]);
    const dataOffset = header.length + bankBytes;
    this.#layers = new Map(layers.map((layer, i) => [layer, { fileOffset: dataOffset + 2 * i * valueCount, missing: valueCount }]));
    this.#fd = writing(this.#partialPath, () => openSync(this.#partialPath, "w"));
    this.#write(header, 0);
    this.#write(toFloat16(Float32Array.from(visionExpert)), header.length);
  }

  /**
   * What tokens `firstToken`, `firstToken` + 1, … bring to the experts of `layer`: values [n, hidden]. Each token comes once. Throws a
   * UserError when float16 cannot hold a number, or the disk refuses.
   */
  append(layer: number, firstToken: number, values: Float32Array): void {
    const place = this.#layers.get(layer);
    assert(
      place && firstToken + values.length / this.#hiddenSize <= this.#tokenCount,
      `calibration of layer ${layer} from ${firstToken} on`,
    );
    const halves = toFloat16(values);
    const wrong = halves.findIndex((half) => (half & 0x7c00) === 0x7c00);
    if (wrong >= 0) {
      throw new UserError(`layer ${layer}: expected inputs of the experts within ±65504, got ${values[wrong]}; is the checkpoint intact?`);
    }
    this.#write(halves, place.fileOffset + 2 * firstToken * this.#hiddenSize);
    place.missing -= values.length;
  }

  /** Moves the complete file into place. */
  finish(): void {
    for (const [layer, { missing }] of this.#layers) assert(missing === 0, `${missing} values of layer ${layer} are missing`);
    writing(this.#path, () => {
      fsyncSync(this.#fd);
      renameSync(this.#partialPath, this.#path); // what fails up to here leaves a file for `discard` to close
      closeSync(this.#fd);
    });
  }

  /** Removes what was written, for a run that is given up. */
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
  readonly hiddenSize: number;
  readonly tokenCount: number;
  readonly layers: readonly number[];
  /** [tokens] 1 where the vision bank serves the token */
  readonly visionExpert: Uint8Array;
  readonly #file: SafetensorsFile;

  /** Checks the header and that the file is whole. Throws a UserError when it is no calibration file, or a damaged one. */
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
    const layers = [...file.tensors.values()].filter((entry) => entry !== bank);
    const [tokenCount = 0, hiddenSize = 0] = layers[0]?.shape ?? [];
    const isLayer = ({ name, dtype, shape }: TensorEntry) =>
      layerPattern.test(name) && dtype === "F16" && shape.join() === `${tokenCount},${hiddenSize}`;
    if (tokenCount * hiddenSize === 0 || bank?.dtype !== "F16" || bank.shape.join() !== `${tokenCount}` || !layers.every(isLayer)) {
      throw new UserError(`${file.path} is not a calibration file: expected ${bankName} and layers.N.input in float16; ${remedy}`);
    }
    this.tokenCount = tokenCount;
    this.hiddenSize = hiddenSize;
    this.layers = layers.map(({ name }) => Number(layerPattern.exec(name)![1])).toSorted((a, b) => a - b);
    this.visionExpert = Uint8Array.from(this.#read(bank, 0, tokenCount));
    if (this.visionExpert.some((bit) => bit > 1)) throw this.#damaged(bankName);
  }

  /** Of the whole file, in hex; reads all of it. */
  get sha256(): string {
    return hashFile(this.path).sha256;
  }

  /** All tokens of a layer: [tokens, hidden] */
  layer(layer: number): Float32Array {
    return this.rows(layer, 0, this.tokenCount);
  }

  /** Tokens `firstToken` … `firstToken + count − 1` of a layer: [count, hidden]. Throws a UserError when the file is damaged. */
  rows(layer: number, firstToken: number, count: number): Float32Array {
    const entry = this.#file.tensors.get(`layers.${layer}.input`);
    assert(entry, `layer ${layer} is not in ${this.path}`);
    return this.#read(entry, firstToken * this.hiddenSize, count * this.hiddenSize);
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

/** Tensors of float16, one after the other; padded so that the data begins at a multiple of 8 bytes. */
function encodeHeader(tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, shape }) => {
    const begin = end;
    end += 2 * shape.reduce((product, length) => product * length, 1);
    return [name, { dtype: "F16", shape, data_offsets: [begin, end] }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}
