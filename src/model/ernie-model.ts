// ERNIE-4.5-VL on ONNX Runtime sessions: the engine's ModelRunner.

import { join } from "node:path";
import { entriesOf, type Batch, type KvPages, type ModelRunner, type SlotId, type StepResult } from "../core/batch.ts";
import type { DataType } from "../core/data-type.ts";
import { UserError } from "../core/errors.ts";
import { graphFiles } from "../core/graph-io.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { kernelsBuildCommand } from "../core/package-commands.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { routingShape, type RoutingShape } from "../core/routing.ts";
import { cudaErrorCodes, CudaError, HostMemoryError } from "../runtime/cuda/cudart.ts";
import type { DeviceKind } from "../runtime/device.ts";
import { findKernelLibrary, requireLoadable } from "../runtime/kernel-library.ts";
import { buildOwned, type Owned } from "../runtime/owned.ts";
import type { Runtime, SessionOptions } from "../runtime/runtime.ts";
import type { Binding, Session } from "../runtime/session.ts";
import { CudaGraphs } from "./cuda-graphs.ts";
import { Decoder } from "./decoder.ts";
import { KvCache, type KvScales } from "./kv-cache.ts";
import { RoutingOutput } from "./routing-output.ts";
import { Sampler } from "./sampler.ts";
import { layersWorth } from "./vision-cost.ts";
import { VisionEncoder } from "./vision-encoder.ts";
import { largestPicture, warmUpBatches } from "./warm-up.ts";

export type ErnieModelOptions = {
  /** CPU threads; 0 = one per core that can be used. */
  readonly threadCount: number;
  readonly slotCount: number;
  /** See ModelRunner. */
  readonly spareSlotCount?: number | undefined;
  readonly slotCapacity: number;
  /** Memory that the slots share, see `kvPageTokens`. Absent: each slot has its own from the start. */
  readonly kvPages?: KvPages | undefined;
  /** If set, the KV cache is int8 with these scales. Absent: it has the type of the activations. */
  readonly kvScales?: KvScales | undefined;
  /** Tokens of the longest prefill chunk. */
  readonly prefillChunkTokens: number;
  /** Device memory for cached picture features. */
  readonly imageCacheBytes: number;
  /** On a GPU: run decode steps as CUDA graphs. Default true. */
  readonly cudaGraphs?: boolean;
  /** On a CPU: a decoder graph that exposes its routing, over the folder's weights. */
  readonly routingDecoder?: Uint8Array | undefined;
};

export class ErnieModel implements ModelRunner {
  readonly slotCount: number;
  readonly spareSlotCount: number;
  readonly decodesOneAnywhere: boolean;
  readonly slotCapacity: number;
  readonly pages: KvPages;
  readonly maxPatches: number;
  readonly routing: RoutingShape | undefined;
  readonly #runtime: Runtime;
  readonly #config: ModelConfig;
  readonly #prefillChunkTokens: number;
  readonly #largestPicture: ImagePatches;
  readonly #parts: Parts & { readonly owned: Owned };

  /**
   * Loads the graphs of a converted model folder. `dtype` is the type of its activations. Throws UserError if memory does not suffice, with
   * everything released.
   */
  constructor(runtime: Runtime, folder: string, config: ModelConfig, dtype: DataType, options: ErnieModelOptions) {
    this.slotCount = options.slotCount;
    this.spareSlotCount = options.spareSlotCount ?? 0;
    this.decodesOneAnywhere = runtime.device.kind === "cpu";
    this.slotCapacity = options.slotCapacity;
    this.pages = options.kvPages ?? { tokens: options.slotCapacity, count: this.slotCount + this.spareSlotCount };
    this.maxPatches = Math.floor(config.image.maxPixels / config.vision.patchSize ** 2);
    this.routing = options.routingDecoder && routingShape(config.moe);
    this.#runtime = runtime;
    this.#config = config;
    this.#prefillChunkTokens = options.prefillChunkTokens;
    const build = () => load(runtime, folder, config, dtype, options);
    this.#parts = whereMemorySuffices(runtime.device.kind, build);
    this.#largestPicture = largestPicture(config);
  }

  /**
   * On a GPU: runs each kind of step once, so that no request waits while kernels are chosen, memory is allocated or graphs are captured. The slots
   * must be unused. `onProgress` is called before the first step and after each. Throws UserError if memory does not suffice for the largest steps.
   */
  warmUp(onProgress: (done: number, total: number) => void = () => {}): void {
    if (this.#runtime.device.kind === "cpu") return;
    const encode = (): void => this.#parts.vision.run(this.#largestPicture).dispose();
    const batches = warmUpBatches(this, this.#prefillChunkTokens).map((batch) => (): void => {
      this.#giveMemoryFor(batch);
      this.step(batch);
    });
    const steps = [encode, ...batches];
    onProgress(0, steps.length);
    for (const [i, step] of steps.entries()) {
      whereMemorySuffices("cuda", step);
      onProgress(i + 1, steps.length);
    }
    this.#giveMemoryFor(undefined);
  }

  /** Gives memory to the slots of this batch only, and takes it from all others. */
  #giveMemoryFor(batch: Batch | undefined): void {
    const ends = new Map(batch && entriesOf(batch).map(({ slot, start, tokenIds }) => [slot, start + tokenIds.length]));
    for (let slot = 0; slot < this.slotCount; slot++) {
      this.resizeSlot(slot as SlotId, Math.ceil((ends.get(slot as SlotId) ?? 0) / this.pages.tokens));
    }
  }

  hasFeatures(image: ImagePatches): boolean {
    return this.#parts.vision.has(image);
  }

  /** `extraOutputs` binds the extra outputs of a graph built for inspection; prefill only. */
  step(batch: Batch, extraOutputs?: (binding: Binding) => void): StepResult {
    const { vision, decoder, sampler, routing } = this.#parts;
    if (batch.type === "encode") {
      vision.advance(batch.image, layersWorth(this.#config, batch.image, batch.maxTokens));
      return { tokenIds: [], isUnfinished: !vision.has(batch.image) };
    }
    const output = batch.type === "prefill" ? decoder.prefill(batch.entry, extraOutputs) : decoder.decode(batch.entries);
    const draws = entriesOf(batch).map((entry) => entry.draw);
    const chosenExperts = routing && { chosenExperts: routing.read() };
    const drawn = draws.some((draw) => draw !== undefined) ? sampler.draw(output, draws) : this.#drawNone(draws.length);
    const scoring = batch.type === "prefill" ? batch.entry.scoring : undefined;
    return { ...drawn, ...chosenExperts, ...(scoring && { promptLogprobs: sampler.score(output, scoring) }) };
  }

  #drawNone(count: number): StepResult {
    this.#runtime.device.synchronize();
    return { tokenIds: Array.from({ length: count }, () => undefined) };
  }

  /** Keys or values of the first `length` tokens of a slot; see `KvCache.read`. */
  readCache(slot: SlotId, block: number, length: number): Float32Array {
    return this.#parts.cache.read(slot, block, length);
  }

  resizeSlot(slot: SlotId, pageCount: number): void {
    this.#parts.cache.resize(slot, pageCount);
  }

  swapSlots(a: SlotId, lengthA: number, b: SlotId, lengthB: number): void {
    this.#parts.cache.swap(a, lengthA, b, lengthB);
  }

  copySlot(from: SlotId, to: SlotId, length: number): void {
    this.#parts.cache.copy(from, to, length);
  }

  dispose(): void {
    this.#runtime.device.synchronize();
    this.#parts.owned.dispose();
  }
}

type Parts = {
  readonly cache: KvCache;
  readonly vision: VisionEncoder;
  readonly decoder: Decoder;
  readonly sampler: Sampler;
  readonly routing: RoutingOutput | undefined;
};

function load(
  runtime: Runtime,
  folder: string,
  config: ModelConfig,
  dtype: DataType,
  options: ErnieModelOptions,
): Parts & { readonly owned: Owned } {
  const { threadCount, slotCount, spareSlotCount = 0, slotCapacity, kvPages, prefillChunkTokens, kvScales, routingDecoder } = options;
  const capturesGraphs = runtime.device.kind === "cuda" && options.cudaGraphs !== false;
  const customOpsLibrary = findKernelLibrary();
  if (customOpsLibrary) requireLoadable(customOpsLibrary);
  return buildOwned((owned) => {
    const open = (file: string, session: SessionOptions) => owned.add(runtime.openSession(join(folder, file), session));
    const decoderFile = kvScales ? graphFiles.decoderInt8Cache : graphFiles.decoder;
    const common = { threadCount, ...(customOpsLibrary && { customOpsLibrary }) };
    const decoderOptions = { ...common, capturesGraphs };
    const decoderSession = routingDecoder
      ? owned.add(openRoutingDecoder(runtime, routingDecoder, { ...decoderOptions, weightsFolder: folder }))
      : open(decoderFile, decoderOptions);
    const visionSession = open(graphFiles.vision, common);
    // One thread: the threads of a session keep spinning after a run, so a second thread pool would compete with the decoder's.
    const samplerSession = open(graphFiles.sampler, { threadCount: 1 });
    const size = { slotCount: slotCount + spareSlotCount, capacity: slotCapacity, pages: kvPages };
    const cache = owned.add(new KvCache(runtime, decoderSession, config.text, kvScales ?? dtype, size));
    const vision = owned.add(new VisionEncoder(runtime, visionSession, config, dtype, options.imageCacheBytes));
    const routing = routingDecoder && owned.add(new RoutingOutput(runtime, config.moe, Math.max(prefillChunkTokens, slotCount)));
    const parts = { cache, vision, ...(capturesGraphs && { graphs: new CudaGraphs() }), ...(routing && { routing }) };
    const decoder = owned.add(new Decoder(runtime, parts, config.text, dtype, { maxTokens: prefillChunkTokens, maxBatch: slotCount }));
    const sampler = owned.add(new Sampler(runtime, samplerSession, config.text.vocabSize, slotCount));
    return { cache, vision, decoder, sampler, routing };
  });
}

/** Opens the routing decoder. A kernel library that is too old for this output gets a UserError with advice. */
function openRoutingDecoder(runtime: Runtime, graph: Uint8Array, options: SessionOptions): Session {
  try {
    return runtime.openSession(graph, options);
  } catch (error) {
    const advice = `the decoder that exposes its routing cannot be loaded; if kernels/build is of an older version, run ${kernelsBuildCommand()}`;
    throw new UserError(`--expose-routing: ${advice} (${(error as Error).message})`, { cause: error });
  }
}

const memoryAdvice = {
  cpu: "not enough memory; lower --max-num-seqs or --max-model-len",
  cuda: "not enough GPU memory; lower --gpu-memory-utilization, --max-num-seqs or --max-model-len",
  host: "not enough page-locked memory of the host, for copies to the GPU; raise the memory limit of the container or service, or stop other programs",
};

/** Runs a function and turns out-of-memory errors into UserErrors with advice. */
function whereMemorySuffices<T>(kind: DeviceKind, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!isOutOfMemory(error)) throw error;
    throw new UserError(`${memoryAdvice[error instanceof HostMemoryError ? "host" : kind]}: ${(error as Error).message}`, { cause: error });
  }
}

/** Our own allocations throw CudaError; failed allocations of ONNX Runtime are recognized by their messages. */
function isOutOfMemory(error: unknown): boolean {
  if (error instanceof CudaError) return error.code === cudaErrorCodes.cudaErrorMemoryAllocation;
  return (
    error instanceof Error &&
    /CUDA failure 2\b|CUBLAS_STATUS_ALLOC_FAILED|out of memory|Failed to allocate memory|bad_alloc|bytes of memory left/i.test(
      error.message,
    )
  );
}
