// The thread that measures the scales of an int8 KV cache: loads the model, computes prompts, posts the scales, ends.

import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../core/errors.ts";
import { activationDataType } from "../core/manifest.ts";
import type { EncodedPrompt } from "../core/prompt.ts";
import { measureKvScales } from "../model/kv-scales.ts";
import { readManifest } from "../model-folder.ts";
import { Runtime } from "../runtime/runtime.ts";

export type KvScalesTask = {
  /** A converted model folder. */
  readonly folder: string;
  readonly device: "cpu" | "cuda";
  readonly threadCount: number;
  readonly prompts: readonly EncodedPrompt[];
};

assert(parentPort, "kv-scales-worker runs as a worker thread");
const task = workerData as KvScalesTask;
const { config, settings } = readManifest(task.folder);
const runtime = Runtime.open(task.device);
const scales = measureKvScales(runtime, task.folder, config, activationDataType[settings.activations], task);
runtime.dispose();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, not a window
parentPort.postMessage(scales);
