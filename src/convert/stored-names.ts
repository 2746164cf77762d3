// Finds the stored tensors for a tensor of the hub's layout, by names alone.

import type { CheckpointLayout } from "../core/manifest.ts";
import { toNative, type NativeTensor } from "./native-layout.ts";

export const headName = "lm_head.weight";

/** Names of the tensors of a checkpoint. */
type Names = { keys(): Iterable<string>; has(name: string): boolean };

/** "native" where the decoder lies below `model.language_model.` (model spec, 2.2). */
export function layoutOf(names: Names): CheckpointLayout {
  return [...names.keys()].some((name) => name.startsWith("model.language_model.")) ? "native" : "hub";
}

/** Where the tensor would be stored; the caller checks whether it is there. */
export function locateTensor(names: Names, layout: CheckpointLayout, hubName: string, expertCount: number): NativeTensor {
  if (layout === "native") return toNative(hubName, expertCount);
  // transformers saves the hub's names with the vision tower below `model.`
  const below = `model.${hubName}`;
  return { type: "whole", name: hubName.startsWith("vision_model.") && names.has(below) ? below : hubName };
}

/** The first names, and the number of the others. */
export function listNames(names: readonly string[]): string {
  return names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
}

/** Whether no graph reads this tensor: layers that only training uses, computed tables, and a tied head, which is a copy. */
export function isSpare(name: string, tiedEmbedding: boolean): boolean {
  return name.includes("mtp") || name.endsWith("rotary_emb.inv_freq") || (name === headName && tiedEmbedding);
}
