// One run of a small graph on the CPU, numbers in and numbers out.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Graph, Value } from "../../src/convert/onnx/graph.ts";
import { encodeModel, externalDataBytes, placePieces } from "../../src/convert/onnx/model-file.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { formats, type Activation } from "./activation-formats.ts";

type Numbers = { readonly shape: readonly number[]; readonly values: Float32Array };

/** `inputs` by name; the output is called "y". Weights that a converter would write are made of the checkpoint's `tensors`. */
export function runGraph(
  graph: Graph,
  library: string,
  inputs: Readonly<Record<string, Numbers>>,
  yShape: readonly number[],
  tensors: Readonly<Record<string, Float32Array>> = {},
): Float32Array {
  const runtime = new Runtime();
  const folder = mkdtempSync(join(tmpdir(), "graph-"));
  writeFileSync(join(folder, "weights"), computeWeights(graph, tensors));
  const session = runtime.openSession(encodeModel(graph, "weights", "test"), {
    threadCount: 2,
    customOpsLibrary: library,
    weightsFolder: folder,
  });
  const binding = session.createBinding();
  const dtypeOf = (values: readonly Value[], name: string) => values.find((value) => value.name === name)!.dtype as Activation;
  const owned: { dispose(): void }[] = [binding, session];
  const buffer = (dtype: Activation, shape: readonly number[]) => {
    const created = new TensorBuffer(
      runtime,
      dtype,
      shape.reduce((a, b) => a * b, 1),
    );
    owned.push(created);
    return created;
  };
  try {
    for (const [name, { shape, values }] of Object.entries(inputs)) {
      const dtype = dtypeOf(graph.inputs, name);
      const input = buffer(dtype, shape);
      input.data.set(formats[dtype].encode(values));
      binding.input(name, input.shaped(...shape));
    }
    const dtype = dtypeOf(graph.outputs, "y");
    const y = buffer(dtype, yShape);
    binding.output("y", y.shaped(...yShape));
    binding.run();
    return formats[dtype].decode(y.data);
  } finally {
    for (const each of owned) each.dispose();
    runtime.dispose();
    rmSync(folder, { recursive: true });
  }
}

function computeWeights(graph: Graph, tensors: Readonly<Record<string, Float32Array>>): Uint8Array {
  const data = new Uint8Array(externalDataBytes(graph));
  for (const { piece, targets } of placePieces(graph)) {
    const shares = piece.encode(piece.reads.map(({ name }) => tensors[name]!));
    shares.forEach((bytes, i) => data.set(bytes, targets[i]!.offset));
  }
  return data;
}
