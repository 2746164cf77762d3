// How long the device waits for the host in a decode step: runs the engine in this thread and times its native calls. Other work of the
// server's thread (passing tokens to the main thread) shows as the difference to the step time of the bench `decode`.

import { activationDataType, type Manifest } from "../../../src/core/manifest.ts";
import { greedy } from "../../../src/core/sampling.ts";
import type { EncodedPrompt } from "../../../src/core/prompt.ts";
import { Engine } from "../../../src/engine/engine.ts";
import type { SequenceId } from "../../../src/engine/engine-protocol.ts";
import { median } from "../../../src/loadgen/percentiles.ts";
import { ErnieModel } from "../../../src/model/ernie-model.ts";
import { HostDevice, type DeviceKind } from "../../../src/runtime/device.ts";
import { CudaDevice } from "../../../src/runtime/cuda/cuda-device.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { Binding } from "../../../src/runtime/session.ts";

export type StepShare = {
  readonly streams: number;
  /** Median of a step of the engine, in milliseconds. */
  readonly stepMs: number;
  /** Median of what is left of it before the first and after the last native call: the device has nothing to do then. */
  readonly hostMs: number;
};

/** From the first to the last native call of a step, in `performance.now()`. */
type Span = { first: number; last: number };

export function measureHostOverhead(
  folder: string,
  { config, settings }: Manifest,
  device: DeviceKind,
  shape: {
    readonly streams: readonly number[];
    readonly context: number;
    readonly chunkTokens: number;
    readonly steps: number;
    readonly cudaGraphs: boolean;
  },
  prompt: (length: number, sharedTokens: number) => EncodedPrompt,
): StepShare[] {
  const { streams, context, chunkTokens, steps, cudaGraphs } = shape;
  const model = new ErnieModel(Runtime.open(device), folder, config, activationDataType[settings.activations], {
    threadCount: 0,
    slotCount: Math.max(...streams),
    slotCapacity: context + 2 * steps + 64,
    prefillChunkTokens: chunkTokens,
    imageCacheBytes: 1 << 20,
    cudaGraphs,
  });
  model.warmUp();
  const engine = new Engine(model, { prefillChunkTokens: chunkTokens });
  const span = watchNativeCalls();
  let submitted = 0;
  const shares = streams.map((streamCount): StepShare => {
    for (let i = 0; i < streamCount; i++) {
      const request = { prompt: prompt(context, context - 16), sampling: greedy, maxTokens: 2 * steps, stopTokenIds: [] };
      engine.submit(submitted++ as SequenceId, request);
    }
    const times: { step: number; host: number }[] = [];
    while (engine.hasWork()) {
      span.first = Number.POSITIVE_INFINITY;
      const start = performance.now();
      const events = engine.step();
      const end = performance.now();
      // Steps of all streams at once only.
      const tokens = events.filter(([, event]) => event.type === "token").length;
      if (tokens === streamCount) times.push({ step: end - start, host: end - start - (span.last - span.first) });
    }
    const middle = times.slice(times.length >> 2);
    return { streams: streamCount, stepMs: median(middle.map(({ step }) => step)), hostMs: median(middle.map(({ host }) => host)) };
  });
  model.dispose();
  return shares;
}

/** Wraps the native functions that compute, copy and wait. They stay wrapped: the process ends after measuring. */
function watchNativeCalls(): Span {
  const span: Span = { first: Number.POSITIVE_INFINITY, last: 0 };
  const watch = (prototype: object, names: readonly string[]): void => {
    for (const name of names) {
      const original = (prototype as Record<string, (...args: unknown[]) => unknown>)[name];
      if (!original) throw new Error(`there is no native call ${name} any more`);
      Object.defineProperty(prototype, name, {
        value: function (this: unknown, ...args: unknown[]): unknown {
          span.first = Math.min(span.first, performance.now());
          const result = original.apply(this, args);
          span.last = performance.now();
          return result;
        },
      });
    }
  };
  watch(Binding.prototype, ["run", "runAsGraph"]);
  for (const { prototype } of [CudaDevice, HostDevice]) watch(prototype, ["copy", "synchronize"]);
  return span;
}
