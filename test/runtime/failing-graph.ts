// Runs a graph in which a node fails, as a CUDA graph ("graph") or not: node --import tsx failing-graph.ts graph

import { buildSampler } from "../../src/convert/blocks/sampler.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { samplerIo } from "../../src/core/graph-io.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { Session } from "../../src/runtime/session.ts";

const runtime = new Runtime();
const { api, device } = runtime;
const graph = Buffer.from(encodeModel(buildSampler(512, false), "none", "sampler"));
const fatalOnly = 4;
const native = api.create(
  "CreateSessionFromArray",
  api.create("CreateEnv", fatalOnly, "test"),
  graph,
  graph.length,
  api.create("CreateSessionOptions"),
);
const binding = new Session(api, native, { isQueued: false, capturesGraphs: true }).createBinding();
const memory = device.allocate(1 << 16);
const tensor = (...shape: number[]) => runtime.createTensor(memory, "float32", shape);
binding.input(samplerIo.logits, tensor(2, 512));
binding.input(samplerIo.inverseTemperature, tensor(3, 1)); // for other rows than there are
binding.output(samplerIo.logSumExp, tensor(2, 1));
try {
  if (process.argv[2] === "graph") binding.runAsGraph(1);
  else binding.run();
} catch {
  console.log("failed");
}
process.exit(0);
