// The ONNX Runtime environment of a thread: opens sessions on its device and creates tensors over native memory.

import { elementBytes, elementCount, onnxTypeCode, type DataType } from "../core/data-type.ts";
import { assert, messageOf, UserError } from "../core/errors.ts";
import { usableCpus } from "../core/usable-cpus.ts";
import { CudaDevice } from "./cuda/cuda-device.ts";
import type { CudaLibraries } from "./cuda/driver.ts";
import { deviceId, loadCuda } from "./cuda/probe.ts";
import { HostDevice, type Device, type DeviceKind, type Memory } from "./device.ts";
import { findOnnxRuntime, OrtApi, type Pointer } from "./ort-api.ts";
import { Session } from "./session.ts";

/** Errors come back as statuses; the library need not print them as well. */
const fatalOnly = 4;
/** kOrtSessionOptionsModelExternalInitializersFileFolderPath (onnxruntime_session_options_config_keys.h) */
const weightsFolderSetting = "session.model_external_initializers_file_folder_path";
const deviceAllocator = 0;
const defaultMemory = 0;

export type SessionOptions = {
  /** CPU threads that share one operator's work; 0 = one per core that can be used. */
  readonly threadCount: number;
  /** Path of the library with our own operators (kernels/), for graphs that use them. */
  readonly customOpsLibrary?: string;
  /** Of a graph that is given as bytes: where the file of its external weights lies. */
  readonly weightsFolder?: string;
  /** On a GPU: runs may be captured as CUDA graphs, see `Binding.run`. */
  readonly capturesGraphs?: boolean;
};

/**
 * ONNX Runtime's own default (0) starts and pins one thread per core of the machine, even on cores that this process may not use: threads then escape
 * `taskset`, and under a CPU quota they are throttled most of the time.
 */
function defaultThreadCount(): number {
  const { limit, coreCount } = usableCpus();
  return limit ? coreCount : 0;
}

/** A tensor over native memory that stays where it is. */
export type Tensor = {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly value: Pointer;
};

export class Runtime {
  readonly api: OrtApi;
  readonly device: Device;
  readonly #cuda: CudaDevice | undefined;
  readonly #environment: Pointer;
  readonly #memoryInfos: Readonly<Record<Memory["space"], Pointer>>;

  /** Throws UserError when there is no such device, with the line that `probeCuda` would give. */
  static open(device: DeviceKind): Runtime {
    if (device === "cpu") return new Runtime();
    try {
      return new Runtime(new OrtApi(findOnnxRuntime()), loadCuda());
    } catch (error) {
      throw new UserError(`--device cuda: ${messageOf(error)}`);
    }
  }

  /** Computes on the GPU behind the libraries, without them on the CPU. */
  constructor(api: OrtApi = new OrtApi(findOnnxRuntime()), libraries?: CudaLibraries) {
    this.api = api;
    this.#cuda = libraries && new CudaDevice(libraries);
    this.device = this.#cuda ?? new HostDevice();
    this.#environment = api.create("CreateEnv", fatalOnly, "ernie-vl");
    this.#memoryInfos = {
      host: api.create("CreateCpuMemoryInfo", deviceAllocator, defaultMemory),
      cuda: api.create("CreateMemoryInfo", "Cuda", deviceAllocator, deviceId, defaultMemory),
    };
  }

  /** Loads a graph from a file, beside which external weights are looked for, or from the file's bytes. */
  openSession(graph: string | Uint8Array, options: SessionOptions): Session {
    const native = this.api.create("CreateSessionOptions");
    const capturesGraphs = this.#cuda !== undefined && options.capturesGraphs === true;
    try {
      // With memory patterns, ONNX Runtime allocates all tensors of a run in one block from the second run of a shape on. The arena would have to grow
      // after warm-up, into memory that the KV cache has taken (by 254 MiB for a chunk of 2,048 tokens of the 28B, on the emulated GPU).
      this.api.call("DisableMemPattern", native);
      // On a GPU the CPU threads would be idle.
      this.api.call("SetIntraOpNumThreads", native, this.#cuda ? 1 : options.threadCount || defaultThreadCount());
      if (this.#cuda) this.#appendCuda(native, this.#cuda, capturesGraphs);
      if (options.weightsFolder) this.api.call("AddSessionConfigEntry", native, weightsFolderSetting, options.weightsFolder);
      if (options.customOpsLibrary) this.api.call("RegisterCustomOpsLibrary_V2", native, options.customOpsLibrary);
      const session = this.#createSession(graph, native);
      return new Session(this.api, session, { isQueued: this.#cuda !== undefined, capturesGraphs });
    } finally {
      this.api.release("ReleaseSessionOptions", native);
    }
  }

  /** A tensor over `memory` from `byteOffset` on. The caller keeps the memory alive and releases the tensor. */
  createTensor(memory: Memory, dtype: DataType, shape: readonly number[], byteOffset = 0): Tensor {
    const byteLength = elementCount(shape) * elementBytes[dtype];
    assert(byteOffset + byteLength <= memory.byteLength, `tensor ${dtype}[${shape.join(",")}] needs more than ${memory.byteLength} bytes`);
    const value = this.api.create(
      "CreateTensorWithDataAsOrtValue",
      this.#memoryInfos[memory.space],
      memory.address + BigInt(byteOffset),
      byteLength,
      BigInt64Array.from(shape.map(BigInt)),
      shape.length,
      onnxTypeCode[dtype],
    );
    return { dtype, shape, value };
  }

  releaseTensor(tensor: Tensor): void {
    this.api.release("ReleaseValue", tensor.value);
  }

  dispose(): void {
    for (const info of Object.values(this.#memoryInfos)) this.api.release("ReleaseMemoryInfo", info);
    this.api.release("ReleaseEnv", this.#environment);
    this.device.dispose();
  }

  #createSession(graph: string | Uint8Array, options: Pointer): Pointer {
    if (typeof graph === "string") return this.api.create("CreateSession", this.#environment, graph, options);
    return this.api.create("CreateSessionFromArray", this.#environment, graph, graph.length, options);
  }

  #appendCuda(sessionOptions: Pointer, cuda: CudaDevice, capturesGraphs: boolean): void {
    const settings = { ...providerSettings, enable_cuda_graph: capturesGraphs ? "1" : "0" };
    const provider = this.api.create("CreateCUDAProviderOptions");
    try {
      const [names, values] = [Object.keys(settings), Object.values(settings)];
      this.api.call("UpdateCUDAProviderOptions", provider, names, values, names.length);
      this.api.call("UpdateCUDAProviderOptionsWithValue", provider, "user_compute_stream", cuda.stream);
      this.api.call("SessionOptionsAppendExecutionProvider_CUDA_V2", sessionOptions, provider);
    } finally {
      this.api.release("ReleaseCUDAProviderOptions", provider);
    }
    for (const [name, value] of Object.entries(sessionSettings)) this.api.call("AddSessionConfigEntry", sessionOptions, name, value);
  }
}

/**
 * Options of the CUDA provider. Not yet run on a GPU.
 * - The arena grows by what is requested, not to the next power of two: the KV cache has taken the rest.
 * - No TF32: routers compute in float32, and with 10 bits of mantissa they would choose other experts.
 * - No `gpu_mem_limit`: the KV cache leaves a known amount, and the device itself reports when that is used up.
 */
const providerSettings = { device_id: String(deviceId), arena_extend_strategy: "kSameAsRequested", use_tf32: "0" };

/**
 * Weights are allocated outside the arena, so that those which are repacked at load (QMoE) free their memory. An operator without a CUDA kernel is an
 * error rather than a detour through the host in every step. Options that select kernels keep ONNX Runtime's defaults until they have been measured on a
 * GPU. With these, version 1.29.0 uses FlashAttention for prefill and XQA for decode (seen in its trace), and its own linear layers (not ours) dequantize
 * weights from 6 rows on, unless ORT_FPA_INTB_GEMM=1 is set.
 */
const sessionSettings = { "session.use_device_allocator_for_initializers": "1", "session.disable_cpu_ep_fallback": "1" };
