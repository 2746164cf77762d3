// The worker thread that holds engine, model and runtime. It calls native code synchronously; the main thread never waits for a step.

import { parentPort, workerData } from "node:worker_threads";
import { routingDecoder } from "./convert/routing-graph.ts";
import { assert } from "./core/errors.ts";
import { activationDataType } from "./core/manifest.ts";
import { Engine } from "./engine/engine.ts";
import { runEngineLoop } from "./engine/engine-loop.ts";
import type { FromEngine } from "./engine/engine-protocol.ts";
import { RemoteMatcher } from "./grammar/mask-exchange.ts";
import { ErnieModel } from "./model/ernie-model.ts";
import { readManifest } from "./model-folder.ts";
import { Runtime } from "./runtime/runtime.ts";
import type { WorkerData } from "./worker-data.ts";

assert(parentPort, "engine-worker runs as a worker thread");
const data = workerData as WorkerData;
const manifest = readManifest(data.modelFolder);
const { config, settings } = manifest;
const options = {
  ...data,
  routingDecoder: data.exposesRouting ? routingDecoder(manifest, data.kvScales ? "int8" : "activation") : undefined,
};
const model = new ErnieModel(Runtime.open(data.device), data.modelFolder, config, activationDataType[settings.activations], options);
const port = parentPort;
model.warmUp((done, total) => port.postMessage({ type: "warming-up", done, total } satisfies FromEngine));
const engine = new Engine(model, { prefillChunkTokens: data.prefillChunkTokens, maxWaiting: data.maxWaiting });
await runEngineLoop(engine, port, (handle) => new RemoteMatcher(handle));
model.dispose();
