// Graph → ONNX files: the structure as protobuf, the weights in one external data file beside it (onnx.proto, TensorProto.external_data).

import { elementBytes, elementCount, onnxTypeCode } from "../../core/data-type.ts";
import { assert } from "../../core/errors.ts";
import { Graph, microsoft, type Attribute, type Dim, type Initializer, type Node, type Piece, type Value } from "./graph.ts";
import { ernieDomain } from "./custom-ops.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** ONNX 1.18: opset 23 brought RotaryEmbedding with a table row per token. */
const irVersion = 11;
const opsetVersion = 23;

/** Offsets are page-aligned so that the runtime can map the file. */
const alignment = 4096;

export type Region = { readonly offset: number; readonly byteLength: number };

/** One piece of a graph's external data, and where the bytes of each of its weights belong in the file. */
export type PlacedPiece = { readonly piece: Piece; readonly targets: readonly Region[] };

/** Bytes of the external data file of a graph. */
export function externalDataBytes(graph: Graph): number {
  return placeWeights(graph).totalBytes;
}

/** All pieces of the external data, in the order of the file. Bytes between weights stay zero. */
export function placePieces(graph: Graph): PlacedPiece[] {
  const { regions } = placeWeights(graph);
  return graph.productions.flatMap(({ weights, pieces }) => {
    const totalRows = pieces.reduce((sum, { rows }) => sum + rows, 0);
    let firstRow = 0;
    return pieces.map((piece) => {
      const targets = weights.map(({ name }) => {
        const { offset, byteLength } = regions.get(name)!;
        const bytesPerRow = byteLength / totalRows;
        assert(Number.isInteger(bytesPerRow), `${name} has ${byteLength} bytes for ${totalRows} rows`);
        return { offset: offset + firstRow * bytesPerRow, byteLength: piece.rows * bytesPerRow };
      });
      firstRow += piece.rows;
      return { piece, targets };
    });
  });
}

/** The ModelProto, with weights referring to `dataFileName` in the same folder. */
export function encodeModel(graph: Graph, dataFileName: string, graphName: string): Uint8Array {
  const { regions } = placeWeights(graph);
  const opset = (domain: string, version: number) => new ProtobufWriter().string(1, domain).integer(2, version);
  const model = new ProtobufWriter().integer(1, irVersion).string(2, "ernie-vl");
  model.bytes(7, encodeGraph(graph, graphName, { regions, dataFileName }));
  model.bytes(8, opset("", opsetVersion)).bytes(8, opset(microsoft, 1));
  if (graph.domains.has(ernieDomain)) model.bytes(8, opset(ernieDomain, 1));
  return model.finish();
}

/** Where the weights of a graph and of its branches lie. */
type WeightsFile = { readonly regions: ReadonlyMap<string, Region>; readonly dataFileName: string };

function encodeGraph(graph: Graph, name: string, file: WeightsFile): ProtobufWriter {
  const proto = new ProtobufWriter();
  for (const node of graph.nodes) proto.bytes(1, encodeNode(node, file));
  proto.string(2, name);
  for (const initializer of graph.initializers) proto.bytes(5, encodeInitializer(initializer, file));
  for (const input of graph.inputs) proto.bytes(11, encodeValueInfo(input));
  for (const output of graph.outputs) proto.bytes(12, encodeValueInfo(output));
  return proto;
}

function placeWeights(graph: Graph): { regions: Map<string, Region>; totalBytes: number } {
  const regions = new Map<string, Region>();
  let position = 0;
  for (const { name, dtype, shape } of graph.productions.flatMap(({ weights }) => weights)) {
    const offset = roundUp(position);
    const byteLength = elementCount(shape) * elementBytes[dtype];
    regions.set(name, { offset, byteLength });
    position = offset + byteLength;
  }
  return { regions, totalBytes: position };
}

function roundUp(position: number): number {
  return Math.ceil(position / alignment) * alignment;
}

function encodeInitializer(initializer: Initializer, { regions, dataFileName }: WeightsFile): ProtobufWriter {
  const proto = new ProtobufWriter();
  for (const dimension of initializer.shape) proto.integer(1, dimension);
  proto.integer(2, onnxTypeCode[initializer.dtype]).string(8, initializer.name);
  const { content } = initializer;
  if (content !== "external") return proto.bytes(9, content.inline);
  const region = regions.get(initializer.name);
  assert(region, `weight ${initializer.name} has no place`);
  const entry = (key: string, value: string) => new ProtobufWriter().string(1, key).string(2, value);
  return proto
    .bytes(13, entry("location", dataFileName))
    .bytes(13, entry("offset", String(region.offset)))
    .bytes(13, entry("length", String(region.byteLength)))
    .integer(14, 1);
}

function encodeNode(node: Node, file: WeightsFile): ProtobufWriter {
  const proto = new ProtobufWriter();
  for (const input of node.inputs) proto.string(1, input);
  for (const output of node.outputs) proto.string(2, output);
  proto.string(3, node.name).string(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) proto.bytes(5, encodeAttribute(name, value, file));
  return node.domain ? proto.string(7, node.domain) : proto;
}

function encodeAttribute(name: string, value: Attribute, file: WeightsFile): ProtobufWriter {
  const proto = new ProtobufWriter().string(1, name);
  if (typeof value === "number") return proto.integer(3, value).integer(20, 2);
  if (typeof value === "string") return proto.string(4, value).integer(20, 3);
  if (value instanceof Graph) return proto.bytes(6, encodeGraph(value, name, file)).integer(20, 5);
  if ("float" in value) return proto.float(2, value.float).integer(20, 1);
  for (const item of value) proto.integer(8, item);
  return proto.integer(20, 7);
}

function encodeValueInfo(value: Value): ProtobufWriter {
  const shape = new ProtobufWriter();
  for (const dimension of value.shape) shape.bytes(1, encodeDim(dimension));
  const tensorType = new ProtobufWriter().integer(1, onnxTypeCode[value.dtype]).bytes(2, shape);
  return new ProtobufWriter().string(1, value.name).bytes(2, new ProtobufWriter().bytes(1, tensorType));
}

function encodeDim(dimension: Dim): ProtobufWriter {
  return typeof dimension === "number" ? new ProtobufWriter().integer(1, dimension) : new ProtobufWriter().string(2, dimension);
}
