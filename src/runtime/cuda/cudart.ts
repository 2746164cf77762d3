// The typed mirror of the CUDA runtime library (libcudart): the few functions that we call, and what their failures mean.

import type { LibraryHandle } from "koffi";
import { DeviceLostError, EngineError } from "../../core/errors.ts";
import { formatBytes } from "../../core/format-bytes.ts";
import type { Pointer } from "../ort-api.ts";

/** A C out-parameter: the callee fills its one place. */
export type Out<T> = [T | null];

/** libcudart as C has it: every function returns a cudaError_t, 0 for success. Tests put memory of their own behind it. */
export interface CudartFunctions {
  cudaDriverGetVersion(version: Out<number>): number;
  cudaRuntimeGetVersion(version: Out<number>): number;
  cudaGetDeviceCount(count: Out<number>): number;
  /** `properties` is a struct that begins with the name, 256 bytes. */
  cudaGetDeviceProperties(properties: Uint8Array, device: number): number;
  cudaDeviceGetAttribute(value: Out<number>, attribute: number, device: number): number;
  cudaSetDevice(device: number): number;
  cudaMemGetInfo(free: Out<number>, total: Out<number>): number;
  cudaMalloc(pointer: Out<Pointer>, byteLength: number): number;
  cudaFree(pointer: Pointer): number;
  cudaHostAlloc(pointer: Out<Pointer>, byteLength: number, flags: number): number;
  cudaFreeHost(pointer: Pointer): number;
  cudaMemcpyAsync(to: Pointer, from: Pointer, byteLength: number, kind: number, stream: Pointer): number;
  cudaMemcpy2DAsync(
    to: Pointer,
    toPitch: number,
    from: Pointer,
    fromPitch: number,
    width: number,
    height: number,
    kind: number,
    stream: Pointer,
  ): number;
  cudaMemsetAsync(pointer: Pointer, value: number, byteLength: number, stream: Pointer): number;
  cudaStreamCreateWithFlags(stream: Out<Pointer>, flags: number): number;
  cudaStreamSynchronize(stream: Pointer): number;
  cudaStreamDestroy(stream: Pointer): number;
  /** Forgets the last error, which calls that succeed afterwards would otherwise report once more. */
  cudaGetLastError(): number;
}

const pointer = "void *";
const outPointer = "_Out_ void **";
const outInt = "_Out_ int *";
const outSize = "_Out_ size_t *";

/** Types of the parameters of each function, as koffi writes them; all return a code, 0 for success. */
export type Signatures<Functions> = Readonly<Record<keyof Functions, readonly string[]>>;

export const cudartSignatures: Signatures<CudartFunctions> = {
  cudaDriverGetVersion: [outInt],
  cudaRuntimeGetVersion: [outInt],
  cudaGetDeviceCount: [outInt],
  cudaGetDeviceProperties: [pointer, "int"],
  cudaDeviceGetAttribute: [outInt, "int", "int"],
  cudaSetDevice: ["int"],
  cudaMemGetInfo: [outSize, outSize],
  cudaMalloc: [outPointer, "size_t"],
  cudaFree: [pointer],
  cudaHostAlloc: [outPointer, "size_t", "unsigned int"],
  cudaFreeHost: [pointer],
  cudaMemcpyAsync: [pointer, pointer, "size_t", "int", pointer],
  cudaMemcpy2DAsync: [pointer, "size_t", pointer, "size_t", "size_t", "size_t", "int", pointer],
  cudaMemsetAsync: [pointer, "int", "size_t", pointer],
  cudaStreamCreateWithFlags: [outPointer, "unsigned int"],
  cudaStreamSynchronize: [pointer],
  cudaStreamDestroy: [pointer],
  cudaGetLastError: [],
};

/** The functions of a loaded library. */
export function bindFunctions<Functions>(library: LibraryHandle, signatures: Signatures<Functions>): Functions {
  const entries = Object.entries<readonly string[]>(signatures);
  return Object.fromEntries(entries.map(([name, parameters]) => [name, library.func(name, "int", [...parameters])])) as Functions;
}

/** Codes of cudaError_t (driver_types.h) that we tell apart, or name in a message. Those of the driver's CUresult mean the same. */
export const cudaErrorCodes = {
  cudaErrorInvalidValue: 1,
  cudaErrorMemoryAllocation: 2,
  cudaErrorInitializationError: 3,
  cudaErrorStubLibrary: 34,
  cudaErrorInsufficientDriver: 35,
  cudaErrorDevicesUnavailable: 46,
  cudaErrorNoDevice: 100,
  cudaErrorInvalidDevice: 101,
  cudaErrorDeviceUninitialized: 201,
  cudaErrorNoKernelImageForDevice: 209,
  cudaErrorECCUncorrectable: 214,
  cudaErrorContained: 226,
  cudaErrorIllegalAddress: 700,
  cudaErrorLaunchOutOfResources: 701,
  cudaErrorLaunchTimeout: 702,
  cudaErrorAssert: 710,
  cudaErrorHardwareStackError: 714,
  cudaErrorIllegalInstruction: 715,
  cudaErrorMisalignedAddress: 716,
  cudaErrorInvalidAddressSpace: 717,
  cudaErrorInvalidPc: 718,
  cudaErrorLaunchFailure: 719,
  cudaErrorTensorMemoryLeak: 721,
  cudaErrorNotPermitted: 800,
  cudaErrorNotSupported: 801,
  cudaErrorSystemNotReady: 802,
  cudaErrorSystemDriverMismatch: 803,
  cudaErrorCompatNotSupportedOnDevice: 804,
  cudaErrorMpsClientTerminated: 810,
  cudaErrorStreamCaptureUnsupported: 900,
  cudaErrorStreamCaptureInvalidated: 901,
  cudaErrorUnknown: 999,
} as const;

/** After these every later call fails as well, until the process ends; after the last two because our stream stays in a recording that failed. */
const lostDeviceCodes: ReadonlySet<number> = new Set([
  cudaErrorCodes.cudaErrorECCUncorrectable,
  cudaErrorCodes.cudaErrorContained,
  cudaErrorCodes.cudaErrorIllegalAddress,
  cudaErrorCodes.cudaErrorLaunchTimeout,
  cudaErrorCodes.cudaErrorAssert,
  cudaErrorCodes.cudaErrorHardwareStackError,
  cudaErrorCodes.cudaErrorIllegalInstruction,
  cudaErrorCodes.cudaErrorMisalignedAddress,
  cudaErrorCodes.cudaErrorInvalidAddressSpace,
  cudaErrorCodes.cudaErrorInvalidPc,
  cudaErrorCodes.cudaErrorLaunchFailure,
  cudaErrorCodes.cudaErrorTensorMemoryLeak,
  cudaErrorCodes.cudaErrorMpsClientTerminated,
  cudaErrorCodes.cudaErrorStreamCaptureUnsupported,
  cudaErrorCodes.cudaErrorStreamCaptureInvalidated,
]);

/** What to do about what a GPU answers before it has computed anything. */
const advice: ReadonlyMap<number, string> = new Map([
  [cudaErrorCodes.cudaErrorInitializationError, "the driver does not start: see what nvidia-smi and dmesg say"],
  [
    cudaErrorCodes.cudaErrorStubLibrary,
    "a libcuda that is only for linking stands before the driver's own: take the toolkit's folder stubs out of LD_LIBRARY_PATH",
  ],
  [cudaErrorCodes.cudaErrorInsufficientDriver, "update the driver"],
  [
    cudaErrorCodes.cudaErrorDevicesUnavailable,
    "another process has the GPU to itself: end it, or allow several with nvidia-smi -c DEFAULT",
  ],
  [
    cudaErrorCodes.cudaErrorECCUncorrectable,
    "its memory has an error that cannot be corrected: reset it with nvidia-smi --gpu-reset, or restart the machine; if it comes back, see nvidia-smi -q -d ECC,ROW_REMAPPER",
  ],
  [
    cudaErrorCodes.cudaErrorSystemNotReady,
    "start nvidia-fabricmanager, in the driver's version (machines whose GPUs NVSwitch connects), or run nvidia-smi conf-compute -srs 1 (confidential computing)",
  ],
  [cudaErrorCodes.cudaErrorSystemDriverMismatch, "the driver was updated and its old kernel module still runs: restart the machine"],
  [
    cudaErrorCodes.cudaErrorCompatNotSupportedOnDevice,
    "a package cuda-compat stands before the driver's own library, and not for this GPU: remove it, or update the driver",
  ],
  [
    cudaErrorCodes.cudaErrorUnknown,
    "often /dev/nvidia-uvm is missing or this user may not open it: run nvidia-modprobe -u -c=0, or restart; a container needs all of /dev/nvidia*",
  ],
]);

const errorNames = new Map(Object.entries(cudaErrorCodes).map(([name, code]) => [code as number, name]));

export class CudaError extends EngineError {
  readonly code: number;

  constructor(functionName: string, code: number, detail = "") {
    const action = advice.get(code);
    super(`${functionName}: ${errorNames.get(code) ?? "CUDA error"} (${code})${detail}${action ? `; ${action}` : ""}`);
    this.code = code;
  }
}

/** Memory is short on the host, not on the GPU. */
export class HostMemoryError extends CudaError {}

/** What a function that answered with this code throws. */
export function toError(functionName: string, code: number, detail?: string): CudaError | DeviceLostError {
  const error = new CudaError(functionName, code, detail);
  return lostDeviceCodes.has(code) ? new DeviceLostError(`the GPU has failed: ${error.message}`, { cause: error }) : error;
}

/** Values of cudaMemcpyKind. */
const copyKinds = { upload: 1, download: 2, onDevice: 3 } as const;
export type CopyKind = keyof typeof copyKinds;

type MemoryInfo = { readonly freeBytes: number; readonly totalBytes: number };

/** Rows of `width` bytes, `toPitch` and `fromPitch` bytes apart. */
type RowCopy = {
  readonly to: Pointer;
  readonly toPitch: number;
  readonly from: Pointer;
  readonly fromPitch: number;
  readonly width: number;
  readonly height: number;
};

/** cudaStreamNonBlocking: not ordered with the default stream, which nobody here uses. */
const nonBlocking = 1;
const computeCapabilityMajor = 75;
const computeCapabilityMinor = 76;
/** cudaDeviceProp is about 1000 bytes, more from version to version. */
const propertiesBytes = 4096;
const nameBytes = 256;

/** libcudart with typed results; a call that fails throws CudaError, or DeviceLostError when all later ones would fail too. */
export class Cudart {
  readonly #functions: CudartFunctions;

  constructor(functions: CudartFunctions) {
    this.#functions = functions;
  }

  /** 1000 · major + 10 · minor of the newest CUDA that the driver supports; 0 without a driver. */
  driverVersion(): number {
    return this.#get("cudaDriverGetVersion");
  }

  runtimeVersion(): number {
    return this.#get("cudaRuntimeGetVersion");
  }

  deviceCount(): number {
    return this.#get("cudaGetDeviceCount");
  }

  deviceName(device: number): string {
    const properties = new Uint8Array(propertiesBytes);
    this.#check("cudaGetDeviceProperties", this.#functions.cudaGetDeviceProperties(properties, device));
    return new TextDecoder().decode(properties.subarray(0, Math.min(nameBytes, properties.indexOf(0))));
  }

  computeCapability(device: number): { readonly major: number; readonly minor: number } {
    const [major, minor] = [computeCapabilityMajor, computeCapabilityMinor].map((attribute) => {
      const value: Out<number> = [null];
      this.#check("cudaDeviceGetAttribute", this.#functions.cudaDeviceGetAttribute(value, attribute, device));
      return value[0]!;
    }) as [number, number];
    return { major, minor };
  }

  /** Makes the device the calling thread's. */
  setDevice(device: number): void {
    const code = this.#functions.cudaSetDevice(device);
    const isFull = code === cudaErrorCodes.cudaErrorMemoryAllocation;
    this.#check("cudaSetDevice", code, isFull ? "; other programs have taken all of the GPU's memory: nvidia-smi lists them" : "");
  }

  memoryInfo(): MemoryInfo {
    const free: Out<number> = [null];
    const total: Out<number> = [null];
    this.#check("cudaMemGetInfo", this.#functions.cudaMemGetInfo(free, total));
    return { freeBytes: Number(free[0]), totalBytes: Number(total[0]) };
  }

  /** Device memory, aligned to 256 bytes. */
  malloc(byteLength: number): Pointer {
    const address: Out<Pointer> = [null];
    const code = this.#functions.cudaMalloc(address, byteLength);
    this.#check("cudaMalloc", code, code === cudaErrorCodes.cudaErrorMemoryAllocation ? this.describeShortage(byteLength) : "");
    return address[0]!;
  }

  /** Waits for everything that runs on the device. */
  free(address: Pointer): void {
    this.#check("cudaFree", this.#functions.cudaFree(address));
  }

  /** Page-locked host memory: the only kind that copies do not wait for. Throws HostMemoryError where there is none. */
  hostAlloc(byteLength: number): Pointer {
    const address: Out<Pointer> = [null];
    const code = this.#functions.cudaHostAlloc(address, byteLength, 0);
    if (code === cudaErrorCodes.cudaErrorMemoryAllocation) {
      this.#functions.cudaGetLastError();
      throw new HostMemoryError("cudaHostAlloc", code, `: ${formatBytes(byteLength)} wanted`);
    }
    this.#check("cudaHostAlloc", code);
    return address[0]!;
  }

  freeHost(address: Pointer): void {
    this.#check("cudaFreeHost", this.#functions.cudaFreeHost(address));
  }

  memcpyAsync(to: Pointer, from: Pointer, byteLength: number, kind: CopyKind, stream: Pointer): void {
    this.#check("cudaMemcpyAsync", this.#functions.cudaMemcpyAsync(to, from, byteLength, copyKinds[kind], stream));
  }

  /** Rows from device memory to device memory. */
  memcpy2dAsync({ to, toPitch, from, fromPitch, width, height }: RowCopy, stream: Pointer): void {
    const code = this.#functions.cudaMemcpy2DAsync(to, toPitch, from, fromPitch, width, height, copyKinds.onDevice, stream);
    this.#check("cudaMemcpy2DAsync", code);
  }

  zeroAsync(address: Pointer, byteLength: number, stream: Pointer): void {
    this.#check("cudaMemsetAsync", this.#functions.cudaMemsetAsync(address, 0, byteLength, stream));
  }

  streamCreate(): Pointer {
    const stream: Out<Pointer> = [null];
    this.#check("cudaStreamCreateWithFlags", this.#functions.cudaStreamCreateWithFlags(stream, nonBlocking));
    return stream[0]!;
  }

  /** Waits for what was queued on the stream; throws what any of it failed with. */
  streamSynchronize(stream: Pointer): void {
    this.#check("cudaStreamSynchronize", this.#functions.cudaStreamSynchronize(stream));
  }

  streamDestroy(stream: Pointer): void {
    this.#check("cudaStreamDestroy", this.#functions.cudaStreamDestroy(stream));
  }

  /** Of an allocation that failed, to be said after its name. */
  describeShortage(wantedBytes: number): string {
    return `: ${formatBytes(wantedBytes)} wanted, ${this.#describeFree()}`;
  }

  #get(name: "cudaDriverGetVersion" | "cudaRuntimeGetVersion" | "cudaGetDeviceCount"): number {
    const value: Out<number> = [null];
    this.#check(name, this.#functions[name](value));
    return value[0]!;
  }

  #check(name: string, code: number, detail?: string): void {
    if (code === 0) return;
    this.#functions.cudaGetLastError();
    throw toError(name, code, detail);
  }

  #describeFree(): string {
    const free: Out<number> = [null];
    const total: Out<number> = [null];
    if (this.#functions.cudaMemGetInfo(free, total) !== 0) return "how much is free cannot be told";
    return `${formatBytes(Number(free[0]))} of ${formatBytes(Number(total[0]))} on the device are free`;
  }
}
