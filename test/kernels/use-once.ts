// A program that opens the kernel library, runs one of its operators and ends.

import { visionAttention } from "../../src/convert/onnx/custom-ops.ts";
import { Graph } from "../../src/convert/onnx/graph.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { runGraph } from "./run-graph.ts";

const graph = new Graph();
const qkv = graph.input("qkv", "float32", [1, 1, 6]);
const tables = { cosines: graph.input("cosines", "float32", [1, 1]), sines: graph.input("sines", "float32", [1, 1]) };
graph.output("y", visionAttention(graph, qkv, tables, 1));
const one = { shape: [1, 1], values: new Float32Array(1) };
runGraph(graph, findKernelLibrary()!, { qkv: { shape: [1, 1, 6], values: new Float32Array(6) }, cosines: one, sines: one }, [1, 1, 2]);
console.log("done");
