// The feed-forward part of a layer with experts: routed ones, each token in its own modality's bank, and shared ones that see all.

import type { Graph, Value } from "../onnx/graph.ts";
import { mergedExperts } from "./merged-experts.ts";
import { gatedMlp } from "./mlp.ts";
import { tiledExperts } from "./tiled-experts.ts";
import type { Build } from "./weights.ts";

/** Adds the routed experts of a layer to the graph: x [B, S, H] → their weighted sum. */
export type RoutedExperts = (g: Graph, x: Value, layer: number) => Value;

/** visionExpert bool [B, S]: which bank serves the token. */
export function routedExperts(g: Graph, visionExpert: Value, build: Build): RoutedExperts {
  return build.weights.hasOwnOperators ? tiledExperts(visionExpert, build) : mergedExperts(g, visionExpert, build);
}

export function moe(g: Graph, x: Value, { config, weights }: Build, routed: RoutedExperts, layer: number): Value {
  const fromRouted = routed(g, x, layer);
  if (config.moe.sharedWidth === 0) return fromRouted;
  const prefix = `model.layers.${layer}.mlp.shared_experts`;
  const shared = { prefix, hiddenSize: config.text.hiddenSize, width: config.moe.sharedWidth };
  return gatedMlp(g.scope("shared_experts"), x, shared, weights, fromRouted);
}
