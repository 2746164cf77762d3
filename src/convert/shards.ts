// The weight files of a checkpoint folder: model.safetensors alone, or shards listed by model.safetensors.index.json.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../core/errors.ts";
import { refusePaddleTensors } from "./paddle-format.ts";
import { readJsonIfThere } from "../core/read-json.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";
import { listNames } from "./stored-names.ts";

export type StoredTensor = TensorEntry & { readonly file: SafetensorsFile };

export type Shards = {
  readonly fileNames: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  close(): void;
};

export const singleFile = "model.safetensors";
export const indexFile = "model.safetensors.index.json";

// A shard is a file beside the index: a path could lead anywhere on the machine.
const shardName = z.string().regex(/^[^/\\]+$/, "the name of a file in the same folder");
const index = z.object({ weight_map: z.record(z.string(), shardName) });

/** Opens all files. Throws a UserError unless they hold exactly the tensors that the index lists, each once. */
export function openShards(folder: string): Shards {
  const placement = readPlacement(folder);
  const files = new Map<string, SafetensorsFile>();
  const close = (): void => files.forEach((file) => file.close());
  try {
    const names = new Set(placement?.values() ?? [singleFile]);
    refuseGaps(folder, [...names]);
    for (const name of names) files.set(name, new SafetensorsFile(join(folder, name)));
    const tensors = collectTensors(files.values());
    refusePaddleTensors(folder, tensors.keys());
    for (const [tensor, fileName] of placement ?? []) {
      if (tensors.get(tensor)?.file === files.get(fileName)) continue;
      throw new UserError(`${join(folder, fileName)}: tensor ${tensor} is missing, but ${indexFile} lists it; download both files again`);
    }
    return { fileNames: [...files.keys()], tensors, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Tensor name → file name, or undefined where a single file holds everything. */
function readPlacement(folder: string): Map<string, string> | undefined {
  if (existsSync(join(folder, singleFile))) return undefined;
  const placement = readIndex(folder);
  if (placement) return placement;
  throw new UserError(`${folder}: expected weights in ${singleFile} or ${indexFile}, got neither; download the safetensors files`);
}

/** Tensor name → file name; undefined if there is no index. Throws a UserError when it cannot be read or names a file in another folder. */
export function readIndex(folder: string): Map<string, string> | undefined {
  const file = readJsonIfThere(join(folder, indexFile), index);
  return file && new Map(Object.entries(file.weight_map));
}

/** Throws a UserError that names several missing files at once: an incomplete download seldom lacks only one. */
function refuseGaps(folder: string, names: readonly string[]): void {
  const missing = names.filter((name) => !existsSync(join(folder, name)));
  if (missing.length === 0) return;
  throw new UserError(`${folder}: weight files that ${indexFile} lists are missing: ${listNames(missing)}; download them`);
}

function collectTensors(files: Iterable<SafetensorsFile>): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const file of files) {
    for (const entry of file.tensors.values()) {
      const other = tensors.get(entry.name);
      if (other) throw new UserError(`${file.path}: tensor ${entry.name} is also in ${other.file.path}; download both files again`);
      tensors.set(entry.name, { ...entry, file });
    }
  }
  return tensors;
}
