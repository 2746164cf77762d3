// Compares the tensor names in a checkpoint's index with those that its config.json implies: all that can be checked before the weights are
// downloaded.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../core/errors.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { hubTensors } from "./hub-tensors.ts";
import { refusePaddleTensors } from "./paddle-format.ts";
import { indexFile, readIndex, singleFile } from "./shards.ts";
import { isSpare, layoutOf, listNames, locateTensor } from "./stored-names.ts";

/** Throws a UserError that names missing or unknown tensors. A checkpoint in one file has no index and is not checked. */
export function checkIndex(folder: string, config: ModelConfig): void {
  if (existsSync(join(folder, singleFile))) return;
  const placement = readIndex(folder);
  if (!placement) return;
  const path = join(folder, indexFile);
  refusePaddleTensors(folder, placement.keys());
  const layout = layoutOf(placement);
  const wanted = new Set(
    hubTensors(config).flatMap(({ name }) => {
      const tensor = locateTensor(placement, layout, name, config.moe.expertCount);
      return tensor.type === "rows" ? tensor.names : [tensor.name];
    }),
  );
  const missing = [...wanted].filter((name) => !placement.has(name));
  if (missing.length > 0) throw new UserError(`${path}: tensors that config.json implies are missing: ${listNames(missing)}`);
  const unknown = [...placement.keys()].filter((name) => !wanted.has(name) && !isSpare(name, config.text.tiedEmbedding));
  if (unknown.length > 0) throw new UserError(`${path}: tensors that config.json does not imply: ${listNames(unknown)}`);
}

/** Throws a UserError when the index names a file that will not be among `fileNames`. */
export function checkShardNames(folder: string, fileNames: readonly string[]): void {
  if (fileNames.includes(singleFile)) return;
  const missing = new Set(readIndex(folder)?.values());
  for (const name of fileNames) missing.delete(name);
  if (missing.size === 0) return;
  throw new UserError(
    `${join(folder, indexFile)}: the hub lacks weight files that this index lists: ${listNames([...missing])}; try again later, or use another hub`,
  );
}
