// Writes SentencePiece models for the tests of this folder.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ProtobufWriter } from "../../src/convert/onnx/protobuf-writer.ts";
import { temporaryFolder } from "../temporary-folder.ts";

export const kinds = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };
export type Piece = { readonly text: string; readonly score?: number; readonly kind?: keyof typeof kinds };
export type ModelOptions = {
  readonly modelType?: number;
  readonly byteFallback?: boolean;
  readonly removesExtraSpaces?: boolean;
  readonly addsDummyPrefix?: boolean;
  readonly escapesSpaces?: boolean;
  readonly charsmap?: Uint8Array;
  readonly denormalizes?: boolean;
};

/** `<unk>`, `<s>`, `</s>`, all bytes, then the given pieces, the first with id 259. */
export function makeModel(pieces: readonly Piece[], options: ModelOptions = {}): Uint8Array {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const all: Piece[] = [
    { text: "<unk>", kind: "unknown" },
    { text: "<s>", kind: "control" },
    { text: "</s>", kind: "control" },
    ...bytes.map((text): Piece => ({ text, kind: "byte" })),
    ...pieces,
  ];
  const model = new ProtobufWriter();
  for (const { text, score = 0, kind = "normal" } of all) {
    model.bytes(1, new ProtobufWriter().string(1, text).float(2, score).integer(3, kinds[kind]));
  }
  const { charsmap, addsDummyPrefix = false, removesExtraSpaces = false, escapesSpaces = true, denormalizes } = options;
  const normalizer = new ProtobufWriter().integer(3, Number(addsDummyPrefix)).integer(4, Number(removesExtraSpaces));
  normalizer.integer(5, Number(escapesSpaces)).bytes(2, charsmap ?? new Uint8Array(0));
  model.bytes(2, makeTrainer(options)).bytes(3, normalizer);
  if (denormalizes) model.bytes(5, new ProtobufWriter().bytes(2, Uint8Array.of(1)));
  return model.finish();
}

export function makeTrainer({ modelType = 2, byteFallback = true }: ModelOptions): ProtobufWriter {
  return new ProtobufWriter().integer(3, modelType).integer(35, Number(byteFallback));
}

export function makeFolder(model: Uint8Array, name = "tokenizer.model"): string {
  const folder = temporaryFolder();
  writeFileSync(join(folder, name), model);
  return folder;
}
