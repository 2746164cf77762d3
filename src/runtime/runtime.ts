// The one ONNX Runtime environment of a thread: opens sessions, owns the memory of tensors. Nothing outside src/runtime knows a pointer's meaning.

import koffi from "koffi";
import { elementBytes, elementCount, onnxTypeCode, type DataType } from "../core/data-type.ts";
import { assert, UserError } from "../core/errors.ts";
import { findOnnxRuntime, OrtApi, type Pointer } from "./ort-api.ts";
import { Session } from "./session.ts";

// koffi runs native code on stacks of its own; building a session recurses deeper than its defaults allow for.
koffi.config({ sync_stack_size: 8 << 20, sync_heap_size: 1 << 20 });

/** Errors come back as statuses; the library need not print them as well. */
const fatalOnly = 4;
const deviceAllocator = 0;
const cpuMemory = 0;

export type Device = "cpu" | "cuda";

export type SessionOptions = {
  readonly device: Device;
  /** Threads that share one operator's work; 0 = one per physical core. */
  readonly threadCount: number;
  /** Path of the library with our own operators (kernels/), for graphs that use them. */
  readonly customOpsLibrary?: string;
};

/** A tensor over native memory that stays where it is. `data` views that memory on the host. */
export type Tensor = {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly value: Pointer;
};

export class Runtime {
  readonly api: OrtApi;
  readonly #environment: Pointer;
  readonly #allocator: Pointer;
  readonly #hostMemoryInfo: Pointer;

  constructor(libraryPath: string = findOnnxRuntime()) {
    this.api = new OrtApi(libraryPath);
    this.#environment = this.api.create("CreateEnv", fatalOnly, "ernie-vl");
    this.#allocator = this.api.create("GetAllocatorWithDefaultOptions");
    this.#hostMemoryInfo = this.api.create("CreateCpuMemoryInfo", deviceAllocator, cpuMemory);
  }

  /** Loads a graph from a file, beside which external weights are looked for, or from the file's bytes, when it has none. */
  openSession(graph: string | Uint8Array, options: SessionOptions): Session {
    const native = this.api.create("CreateSessionOptions");
    try {
      this.api.call("SetIntraOpNumThreads", native, options.threadCount);
      if (options.device === "cuda") this.#appendCuda(native);
      if (options.customOpsLibrary) this.api.call("RegisterCustomOpsLibrary_V2", native, options.customOpsLibrary);
      return new Session(this.api, this.#createSession(graph, native));
    } finally {
      this.api.release("ReleaseSessionOptions", native);
    }
  }

  /** Native host memory; pages that are never touched cost nothing. */
  allocate(byteLength: number): Memory {
    return new Memory(this.api, this.#allocator, byteLength);
  }

  /** A tensor over `memory` from `byteOffset` on. The caller keeps the memory alive and releases the tensor. */
  createTensor(memory: Memory, dtype: DataType, shape: readonly number[], byteOffset = 0): Tensor {
    const byteLength = elementCount(shape) * elementBytes[dtype];
    assert(byteOffset + byteLength <= memory.byteLength, `tensor ${dtype}[${shape.join(",")}] needs more than ${memory.byteLength} bytes`);
    const address = memory.address + BigInt(byteOffset);
    const dimensions = BigInt64Array.from(shape.map(BigInt));
    const code = onnxTypeCode[dtype];
    const value = this.api.create(
      "CreateTensorWithDataAsOrtValue",
      this.#hostMemoryInfo,
      address,
      byteLength,
      dimensions,
      shape.length,
      code,
    );
    return { dtype, shape, value };
  }

  releaseTensor(tensor: Tensor): void {
    this.api.release("ReleaseValue", tensor.value);
  }

  dispose(): void {
    this.api.release("ReleaseEnv", this.#environment);
  }

  #createSession(graph: string | Uint8Array, options: Pointer): Pointer {
    if (typeof graph === "string") return this.api.create("CreateSession", this.#environment, graph, options);
    return this.api.create("CreateSessionFromArray", this.#environment, graph, graph.length, options);
  }

  #appendCuda(sessionOptions: Pointer): void {
    try {
      const cuda = this.api.create("CreateCUDAProviderOptions");
      try {
        this.api.call("SessionOptionsAppendExecutionProvider_CUDA_V2", sessionOptions, cuda);
      } finally {
        this.api.release("ReleaseCUDAProviderOptions", cuda);
      }
    } catch (error) {
      throw new UserError(`no CUDA device can be used: ${error instanceof Error ? error.message : String(error)}; start with --device cpu`);
    }
  }
}

/** A piece of native host memory. */
export class Memory {
  readonly address: Pointer;
  readonly byteLength: number;
  readonly bytes: ArrayBuffer;
  readonly #free: () => void;

  constructor(api: OrtApi, allocator: Pointer, byteLength: number) {
    this.byteLength = Math.max(byteLength, 64);
    this.address = api.create("AllocatorAlloc", allocator, this.byteLength);
    this.bytes = koffi.view(this.address, this.byteLength);
    this.#free = () => api.call("AllocatorFree", allocator, this.address);
  }

  dispose(): void {
    this.#free();
  }
}
