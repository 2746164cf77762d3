// The typed mirror of ONNX Runtime's C API: finds the function table of libonnxruntime and calls into it through koffi.
// Positions in the table are those of `struct OrtApi` (onnxruntime_c_api.h); it only ever grows at its end.

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { existsSync } from "node:fs";
import koffi from "koffi";
import { onnxRuntimeVersion } from "../core/manifest.ts";
import { EngineError, UserError } from "../core/errors.ts";
import { requireLibrary, setNativeVariable } from "./load-library.ts";

/** A native address; 0 never occurs. */
export type Pointer = bigint;

const apiVersion = 29;

const pointer = "void *";
const out = "_Out_ void **";
const text = "const char *";

/** name: [position, result, ...arguments]; a `void *` result of the functions that are not `Release…` or `Get…` is a status. */
const functions = {
  GetErrorMessage: [2, text, pointer],
  CreateEnv: [3, pointer, "int", text, out],
  CreateSession: [7, pointer, pointer, text, pointer, out],
  CreateSessionFromArray: [8, pointer, pointer, pointer, "size_t", pointer, out],
  CreateSessionOptions: [10, pointer, out],
  DisableMemPattern: [17, pointer, pointer],
  SetIntraOpNumThreads: [24, pointer, pointer, "int"],
  CreateRunOptions: [39, pointer, out],
  RunOptionsSetRunLogSeverityLevel: [41, pointer, pointer, "int"],
  CreateTensorWithDataAsOrtValue: [49, pointer, pointer, pointer, "size_t", "int64_t *", "size_t", "int", out],
  CreateMemoryInfo: [68, pointer, text, "int", "int", "int", out],
  CreateCpuMemoryInfo: [69, pointer, "int", "int", out],
  ReleaseEnv: [92, "void", pointer],
  ReleaseStatus: [93, "void", pointer],
  ReleaseMemoryInfo: [94, "void", pointer],
  ReleaseSession: [95, "void", pointer],
  ReleaseValue: [96, "void", pointer],
  ReleaseRunOptions: [97, "void", pointer],
  ReleaseSessionOptions: [100, "void", pointer],
  AddSessionConfigEntry: [130, pointer, pointer, text, text],
  RunWithBinding: [133, pointer, pointer, pointer, pointer],
  CreateIoBinding: [134, pointer, pointer, out],
  ReleaseIoBinding: [135, "void", pointer],
  BindInput: [136, pointer, pointer, text, pointer],
  BindOutput: [137, pointer, pointer, text, pointer],
  AddRunConfigEntry: [165, pointer, pointer, text, text],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, pointer, pointer, pointer],
  CreateCUDAProviderOptions: [205, pointer, out],
  UpdateCUDAProviderOptions: [206, pointer, pointer, "const char **", "const char **", "size_t"],
  ReleaseCUDAProviderOptions: [208, "void", pointer],
  RegisterCustomOpsLibrary_V2: [228, pointer, pointer, text],
  GetBuildInfoString: [254, text],
  UpdateCUDAProviderOptionsWithValue: [263, pointer, pointer, text, pointer],
} as const;

export type FunctionName = keyof typeof functions;

type NativeFunction = (...args: unknown[]) => unknown;

export class OrtApi {
  readonly version: string;
  readonly libraryPath: string;
  readonly #functions: Readonly<Record<FunctionName, NativeFunction>>;

  constructor(libraryPath: string) {
    this.libraryPath = libraryPath;
    // Published builds report each session to their maker, unless this is set before they are loaded.
    setNativeVariable("ORT_DISABLE_TELEMETRY", "1");
    const library = requireLibrary(libraryPath, "it needs Linux with glibc 2.28 or newer, so not Alpine");
    // struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t); const char* (*GetVersionString)(); }
    const base = library.func("void *OrtGetApiBase()")() as Pointer;
    const slot = (index: number): unknown => koffi.decode(base, index * 8, pointer);
    this.version = (koffi.decode(slot(1), koffi.proto(text, [])) as NativeFunction)() as string;
    if (this.version !== onnxRuntimeVersion) {
      throw new UserError(
        `ONNX Runtime ${onnxRuntimeVersion} is needed, ${libraryPath} is ${this.version}; run npm install, or point ONNXRUNTIME_DIR at ${onnxRuntimeVersion}`,
      );
    }
    const table = (koffi.decode(slot(0), koffi.proto(pointer, ["uint32_t"])) as NativeFunction)(apiVersion);
    const bind = ([index, result, ...args]: readonly [number, string, ...string[]]) =>
      koffi.decode(koffi.decode(table, index * 8, pointer), koffi.proto(result, args)) as NativeFunction;
    this.#functions = Object.fromEntries(Object.entries(functions).map(([name, signature]) => [name, bind(signature)])) as Record<
      FunctionName,
      NativeFunction
    >;
  }

  /** Calls a function that answers with a status; a failure becomes an EngineError with the runtime's message. */
  call(name: FunctionName, ...args: unknown[]): void {
    const status = this.#functions[name](...args);
    if (!status) return;
    const message = withoutSignatures(String(this.#functions.GetErrorMessage(status)));
    this.#functions.ReleaseStatus(status);
    throw new EngineError(`ONNX Runtime ${name}: ${message}`);
  }

  /** Calls a function whose last argument receives a new object. */
  create(name: FunctionName, ...args: unknown[]): Pointer {
    const slot: [Pointer | null] = [null];
    this.call(name, ...args, slot);
    return slot[0]!;
  }

  /** Calls a `Release…` function. */
  release(name: FunctionName, object: Pointer): void {
    this.#functions[name](object);
  }

  buildInfo(): string {
    return String(this.#functions.GetBuildInfoString());
  }
}

/** On one line, and without the C++ signatures of 600 characters that come before what CUDA said. */
export function withoutSignatures(message: string): string {
  return message
    .replace(/\/\S+cuda_call\.cc:\d+ .*?(?=\b[A-Z]\w+ failure -?\d+:)/s, "")
    .replace(/\s+/g, " ")
    .trim();
}

/** The library in $ONNXRUNTIME_DIR, else the one that the npm package onnxruntime-node carries. */
export function findOnnxRuntime(): string {
  const folder = process.env["ONNXRUNTIME_DIR"];
  const require = createRequire(import.meta.url);
  // The package's main file is dist/index.js.
  const packageFolder = dirname(dirname(require.resolve("onnxruntime-node")));
  const path = folder
    ? join(folder, "libonnxruntime.so.1")
    : join(packageFolder, "bin", "napi-v6", process.platform, process.arch, "libonnxruntime.so.1");
  if (existsSync(path)) return path;
  throw new UserError(
    folder
      ? `ONNXRUNTIME_DIR is ${folder}, but there is no libonnxruntime.so.1 in it`
      : `no ONNX Runtime for ${process.platform}-${process.arch} (expected ${path}); run npm install on this machine (Linux on x64 or arm64)`,
  );
}
