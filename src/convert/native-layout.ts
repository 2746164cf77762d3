// Maps tensors of the hub's layout to the layout of transformers v5, which stacks experts and splits routers by modality (model spec, 2.2
// and 2.3).

import { elementCount } from "../core/data-type.ts";

/**
 * The stored tensors that make up one tensor of the hub's layout, and how:
 * `whole`: unchanged; `transposed`: a matrix with its axes swapped; `rows`: stored rows [1, n] concatenated;
 * `expert`: matrix number `index` of a stack, or its first or second half where gate and up projection are fused.
 */
export type NativeTensor =
  | { readonly type: "whole" | "transposed"; readonly name: string }
  | { readonly type: "rows"; readonly names: readonly string[] }
  | { readonly type: "expert"; readonly name: string; readonly index: number; readonly half: 0 | 1 | undefined };

/** A contiguous range of elements of a stored tensor, and the shape that the tensor must have. */
export type TensorPiece = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: number;
  readonly count: number;
};

const expertName = /^(model\.layers\.\d+\.mlp\.)experts\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight$/;
const routerName = /^(model\.layers\.\d+\.mlp\.)gate\.weight(_1)?$/;
const biasName = /^(model\.layers\.\d+\.mlp\.)moe_statics\.e_score_correction_bias$/;
const sequentialName = /^(model\.resampler_model\.(?:spatial|temporal)_linear\.)([023])\./;
const sequentialParts: Readonly<Record<string, string>> = { 0: "fc1", 2: "fc2", 3: "ln" };

/** Experts 0 … expertCount − 1 of the hub's list are text experts, the others vision experts. */
export function toNative(hubName: string, expertCount: number): NativeTensor {
  const [, expertParent, expert, projection] = expertName.exec(hubName) ?? [];
  if (expertParent !== undefined) {
    const [bank, index] = Number(expert) < expertCount ? ["text_moe", Number(expert)] : ["vision_moe", Number(expert) - expertCount];
    const stack = `${nativeName(expertParent)}${bank}.experts.`;
    if (projection === "down_proj") return { type: "expert", name: `${stack}down_proj`, index, half: undefined };
    return { type: "expert", name: `${stack}gate_up_proj`, index, half: projection === "gate_proj" ? 0 : 1 };
  }
  const [, routerParent, isVision] = routerName.exec(hubName) ?? [];
  if (routerParent !== undefined) {
    return { type: "transposed", name: `${nativeName(routerParent)}${isVision ? "vision" : "text"}_moe.gate.weight` };
  }
  const [, biasParent] = biasName.exec(hubName) ?? [];
  if (biasParent !== undefined) {
    const bankBias = (bank: string): string => `${nativeName(biasParent)}${bank}_moe.gate.moe_statics.e_score_correction_bias`;
    return { type: "rows", names: [bankBias("text"), bankBias("vision")] };
  }
  return { type: "whole", name: nativeName(hubName) };
}

/** `shape` is that of the tensor in the hub's layout. The pieces, one after the other, are its elements (before transposing). */
export function toPieces(tensor: NativeTensor, shape: readonly number[], expertCount: number): TensorPiece[] {
  const count = elementCount(shape);
  switch (tensor.type) {
    case "whole":
      return [{ name: tensor.name, shape, start: 0, count }];
    case "transposed":
      return [{ name: tensor.name, shape: shape.toReversed(), start: 0, count }];
    case "rows": {
      const rowLength = count / tensor.names.length;
      return tensor.names.map((name) => ({ name, shape: [1, rowLength], start: 0, count: rowLength }));
    }
    case "expert": {
      const halves = tensor.half === undefined ? 1 : 2;
      const [rows = 0, ...rest] = shape;
      const start = (tensor.index * halves + (tensor.half ?? 0)) * count;
      return [{ name: tensor.name, shape: [expertCount, halves * rows, ...rest], start, count }];
    }
  }
}

/** Renames tensors that are stored unchanged. */
function nativeName(hubName: string): string {
  return hubName
    .replace(/^model\.(embed_tokens|layers|norm)\./, "model.language_model.$1.")
    .replace(/^vision_model\./, "model.vision_tower.")
    .replace(sequentialName, (_, parent: string, index: string) => `${parent}${sequentialParts[index]}.`);
}
