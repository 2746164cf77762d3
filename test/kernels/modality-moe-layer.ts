// A small layer with random quantized experts: as a graph with one ModalityMoe node, and its result in double precision from the
// weights as they were before packing.

import { Graph, type Value } from "../../src/convert/onnx/graph.ts";
import {
  alternatingTiles,
  modalityMoe,
  packTiles,
  tiledShapes,
  type TiledExperts,
  type TiledMlp,
} from "../../src/convert/onnx/custom-ops.ts";
import { arrangeRows } from "../../src/convert/quantize/arrange-rows.ts";
import { dequantizeBlockwise, quantizeBlockwise, type QuantizedRows } from "../../src/convert/quantize/blockwise.ts";
import { roundToFloat16, toFloat16 } from "../../src/core/half.ts";
import type { DataType } from "../../src/core/data-type.ts";

export type LayerSizes = {
  readonly hidden: number;
  readonly experts: number;
  readonly topK: number;
  readonly widths: readonly [text: number, vision: number];
  readonly bits: 4 | 8;
  /** Of the shared experts; 0: none. */
  readonly sharedWidth?: number;
  readonly sharedBits?: 4 | 8;
};

type Expert = { readonly gate: Float32Array; readonly up: Float32Array; readonly down: Float32Array };

export type Layer = {
  readonly sizes: LayerSizes;
  /** [2, E, H] */
  readonly router: Float32Array;
  /** [2, E] */
  readonly correctionBias: Float32Array;
  /** Per bank and expert, as checkpoints have them: gate and up [I, H], down [H, I]. */
  readonly banks: readonly (readonly Expert[])[];
  readonly shared: Expert | undefined;
};

const normMin = 1e-12;

/** Uniform numbers in [-1, 1), the same for the same seed. */
export function randomNumbers(count: number, seed: number, size = 1): Float32Array {
  let state = seed * 2654435761 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return size * (state / 2 ** 31 - 1);
  });
}

export function makeLayer(sizes: LayerSizes, seed = 1): Layer {
  const { hidden, experts, sharedWidth = 0 } = sizes;
  const expert = (width: number, firstSeed: number): Expert => {
    const matrix = (index: number) => randomNumbers(width * hidden, firstSeed + index, 0.3);
    return { gate: matrix(0), up: matrix(1), down: matrix(2) };
  };
  const banks = sizes.widths.map((width, bank) => Array.from({ length: experts }, (_, e) => expert(width, seed + 1000 * bank + 3 * e)));
  return {
    sizes,
    router: randomNumbers(2 * experts * hidden, seed + 7, 0.3),
    correctionBias: randomNumbers(2 * experts, seed + 8, 0.1),
    banks,
    shared: sharedWidth > 0 ? expert(sharedWidth, seed + 5000) : undefined,
  };
}

/** x [batch, tokens, H] and vision_expert [batch, tokens] → y, and chosen [batch, tokens, topK] if it is to be put out. */
export function layerGraph(layer: Layer, activation: DataType, exposesChosen = false): Graph {
  const { hidden, experts, topK, widths } = layer.sizes;
  const g = new Graph();
  const x = g.input("x", activation, ["batch", "tokens", hidden]);
  const visionExpert = g.input("vision_expert", "bool", ["batch", "tokens"]);
  const router = {
    weight: g.constant("float32", [2, experts, hidden], layer.router),
    correctionBias: g.constant("float32", [2, experts], layer.correctionBias),
  };
  const [text, vision] = layer.banks.map((bank, i) => tiledExperts(g, layer.sizes, widths[i]!, bank));
  const all = { text: text!, vision: vision!, shared: tiledMlp(g, layer) };
  const { y, chosen } = modalityMoe(g, { x, visionExpert }, router, all, { topK, normMin, exposesChosen });
  g.output("y", y);
  if (chosen) g.output("chosen", chosen);
  return g;
}

function tiledExperts(
  g: Graph,
  { hidden, experts, bits }: LayerSizes,
  width: number,
  bank: readonly Expert[],
  count: readonly number[] = [experts],
): TiledExperts {
  const quantize = (matrix: Float32Array, columns: number) => quantizeBlockwise(matrix, columns, bits, { roundScale: roundToFloat16 });
  const tensors = (matrices: QuantizedRows[], rows: number, columns: number): [Value, Value] => {
    const shapes = tiledShapes(count, rows, columns, bits);
    const packed = matrices.map((matrix) => packTiles(matrix, columns, bits));
    const codes = Buffer.concat(packed.map(({ data }) => data));
    const scales = toFloat16(Float32Array.from(packed.flatMap((tiles) => [...tiles.scales])));
    return [g.constant("uint8", shapes.codes, codes), g.constant("float16", shapes.scales, scales)];
  };
  const format = { bits, columns: hidden, width: hidden };
  const gateUps = bank.map(({ gate, up }) =>
    arrangeRows([quantize(gate, hidden), quantize(up, hidden)], alternatingTiles(width, width), format),
  );
  const [gateUp, gateUpScales] = tensors(gateUps, 2 * width, hidden);
  const downs = bank.map(({ down }) => quantize(down, width));
  const [down, downScales] = tensors(downs, hidden, width);
  return { gateUp, gateUpScales, down, downScales };
}

function tiledMlp(g: Graph, { sizes, shared }: Layer): TiledMlp | undefined {
  const { hidden, sharedWidth = 0, sharedBits = 8 } = sizes;
  if (!shared) return undefined;
  const { gateUp, gateUpScales, down, downScales } = tiledExperts(g, { ...sizes, bits: sharedBits }, sharedWidth, [shared], []);
  return {
    gateUp: { rows: 2 * sharedWidth, columns: hidden, codes: gateUp, scales: gateUpScales },
    down: { rows: hidden, columns: sharedWidth, codes: down, scales: downScales },
  };
}

/** y [tokens, H] for x [tokens, H], after spec §3.4, in double precision. */
export function expectedOutput(layer: Layer, x: Float32Array, visionExpert: readonly boolean[]): Float64Array {
  const { hidden, widths, sharedWidth = 0, sharedBits = 8 } = layer.sizes;
  const y = new Float64Array(x.length);
  const kept = new Map<string, Expert>();
  const expertOf = (bank: number, e: number) => {
    const known = kept.get(`${bank}/${e}`) ?? dequantized(layer.banks[bank]![e]!, hidden, widths[bank]!, layer.sizes.bits);
    kept.set(`${bank}/${e}`, known);
    return known;
  };
  const shared = layer.shared && { weight: 1, width: sharedWidth, expert: dequantized(layer.shared, hidden, sharedWidth, sharedBits) };
  visionExpert.forEach((isVision, t) => {
    const bank = isVision ? 1 : 0;
    const row = x.subarray(t * hidden, (t + 1) * hidden);
    const routed = route(layer, bank, row).map(({ expert, weight }) => ({ weight, width: widths[bank]!, expert: expertOf(bank, expert) }));
    for (const { weight, width, expert } of shared ? [...routed, shared] : routed) {
      const { gate, up, down } = expert;
      const h = Float64Array.from({ length: width }, (_, i) => {
        const z = dot(gate, i * hidden, row);
        return (z / (1 + Math.exp(-z))) * dot(up, i * hidden, row);
      });
      for (let c = 0; c < hidden; c++) y[t * hidden + c]! += weight * dot(down, c * width, h);
    }
  });
  return y;
}

/** The experts of each token, numbered over both banks, the best first. */
export function expectedChoices(layer: Layer, x: Float32Array, visionExpert: readonly boolean[]): number[] {
  const { hidden, experts } = layer.sizes;
  return visionExpert.flatMap((isVision, t) => {
    const row = x.subarray(t * hidden, (t + 1) * hidden);
    return route(layer, Number(isVision), row).map(({ expert }) => Number(isVision) * experts + expert);
  });
}

function dequantized(expert: Expert, hidden: number, width: number, bits: 4 | 8): Expert {
  const matrix = (values: Float32Array, columns: number) =>
    dequantizeBlockwise(quantizeBlockwise(values, columns, bits, { roundScale: roundToFloat16 }), columns, bits);
  return { gate: matrix(expert.gate, hidden), up: matrix(expert.up, hidden), down: matrix(expert.down, width) };
}

function route({ sizes, router, correctionBias }: Layer, bank: number, x: Float32Array): { expert: number; weight: number }[] {
  const { experts, hidden, topK } = sizes;
  const exponentials = Array.from({ length: experts }, (_, e) => Math.exp(dot(router, (bank * experts + e) * hidden, x)));
  const total = exponentials.reduce((a, b) => a + b, 0);
  const p = exponentials.map((value) => value / total);
  const score = (e: number) => p[e]! + correctionBias[bank * experts + e]!;
  const chosen = p
    .map((_, e) => e)
    .toSorted((a, b) => score(b) - score(a) || a - b)
    .slice(0, topK);
  const sum = chosen.reduce((s, e) => s + p[e]!, 0);
  return chosen.map((expert) => ({ expert, weight: p[expert]! / Math.max(sum, normMin) }));
}

function dot(matrix: ArrayLike<number>, start: number, vector: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += matrix[start + i]! * vector[i]!;
  return sum;
}
