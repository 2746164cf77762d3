// What `serve` does before it listens: model → memory → engine thread, reported line by line.

import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { UserError } from "../core/errors.ts";
import { EngineClient } from "../engine/engine-client.ts";
import type { KvScales } from "../model/kv-cache.ts";
import type { WorkerData } from "../worker-data.ts";
import { describeDevice, tooManyThreads, type ComputeDevice } from "./choose-device.ts";
import { WorkProgress, type ProgressUnit } from "./work-progress.ts";
import { prepareKvScales } from "./kv-scales.ts";
import { imageCacheBytes } from "./workspace.ts";
import { describeMemory, memoryBytes, type MemoryPlan, planMemory } from "./memory-plan.ts";
import { dataBytes } from "./memory-report.ts";
import { planStart } from "./plan-start.ts";
import { findKernelLibrary, requireLoadable } from "../runtime/kernel-library.ts";
import { verifyFiles } from "../model-folder.ts";
import { prepareModel, type PreparedModel } from "./prepare-model.ts";
import type { ServeOptions } from "./serve.ts";
import { describeMedia, sayModel } from "./start-lines.ts";
import { createVisionLoaders } from "./vision-loaders.ts";

/** Starts an engine for the model folder that the operator names. */
export async function loadEngine(options: ServeOptions, say: (line: string) => void) {
  const { device, settings } = planStart(resolve(options.model), options, say); // before hours go into converting
  const kernels = findKernelLibrary();
  if (kernels) requireLoadable(kernels);
  if (options.exposeRouting && device.kind === "cuda") {
    throw new UserError("--expose-routing works on the CPU only; add --device cpu, or omit --expose-routing");
  }
  const advice = device.kind === "cpu" ? tooManyThreads(options.threads) : undefined;
  if (advice !== undefined) say(advice);
  const model = await prepareModel(options.model, settings, say);
  const memory = planMemory({ ...model.manifest, weightBytes: dataBytes(model.manifest) }, device, options);
  sayModel(model, device, memory, say);
  say(`media    ${describeMedia(options)}`);
  const vision = await createVisionLoaders(model.folder, model.manifest.config.image, say);
  const kvScales = options.kvCacheType === "int8" ? await prepareKvScales(model, device.kind, options.threads, say) : undefined;
  const started = performance.now();
  const engine = await startEngine(model, { ...memory, kvScales }, device, options, say);
  say(`loaded   in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const { weights, context } = describeMemory(memory, model.manifest);
  const hardware = { device: describeDevice(device), weights, context, memoryBytes: memoryBytes(memory) };
  return { model, device, memory, vision, engine, hardware };
}

async function startEngine(
  model: PreparedModel,
  { kv, kvScales, prefillChunkTokens }: MemoryPlan & { readonly kvScales: KvScales | undefined },
  device: ComputeDevice,
  options: ServeOptions,
  say: (line: string) => void,
): Promise<EngineClient> {
  const workerData: WorkerData = {
    modelFolder: model.folder,
    device: device.kind,
    threadCount: options.threads,
    cudaGraphs: options.cudaGraphs,
    slotCount: kv.slotCount,
    spareSlotCount: kv.spareSlotCount,
    slotCapacity: kv.capacity,
    kvPages: kv.pages,
    kvScales,
    prefillChunkTokens,
    maxWaiting: options.maxWaiting,
    imageCacheBytes,
    exposesRouting: options.exposeRouting,
  };
  const worker = new Worker(new URL("../engine-worker.js", import.meta.url), { workerData, name: "engine" });
  const progress = new WorkProgress(say, warmUp);
  let isLoaded = false;
  try {
    return await EngineClient.start(worker, (done, total) => {
      isLoaded = true;
      progress.update(done, total);
    });
  } catch (error) {
    progress.stop();
    if (error instanceof UserError || isLoaded) throw error;
    say("The model cannot be loaded; checking its files for damage");
    await verifyFiles(model.folder, model.manifest); // a damaged file is the likeliest cause, and one that the operator can mend
    throw error;
  } finally {
    progress.stop();
  }
}

/** A GPU computes each kind of step once before the first request. */
const warmUp: ProgressUnit = {
  amount: (done, total) => `warming up: ${done} of ${total} kinds of steps`,
  rate: (perSecond) => `${perSecond.toFixed(1)}/s`,
  ending: "ready",
};
