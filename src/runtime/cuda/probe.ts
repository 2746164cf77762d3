// Whether this machine can compute on a GPU, and if not, the one thing to do about it. Opens no session, loads no model.

import { accessSync, constants, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf } from "../../core/errors.ts";
import { onnxRuntimeVersion } from "../../core/manifest.ts";
import { providerInstallCommand } from "../../core/package-commands.ts";
import { loadLibrary } from "../load-library.ts";
import { findOnnxRuntime } from "../ort-api.ts";
import { bindFunctions, Cudart, CudaError, cudaErrorCodes, cudartSignatures, type Signatures } from "./cudart.ts";
import { CudaDriver, driverSignatures, type CudaLibraries } from "./driver.ts";
import { readLibraryFacts, type LibraryFacts } from "./elf.ts";

export type CudaGpu = {
  readonly name: string;
  /** Such as "9.0". */
  readonly computeCapability: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** GPUs that this process may use; it uses the first. */
  readonly deviceCount: number;
  /** Newest CUDA that the driver supports, such as "13.0". */
  readonly driverVersion: string;
  /** Of libcudart. */
  readonly runtimeVersion: string;
  readonly providerPath: string;
  /** In parts of this size addresses get memory when they need it (`CudaDevice.reserve`); undefined where that cannot be done. */
  readonly pageBytes: number | undefined;
  /** Whether so many addresses can indeed be had, and memory for them. */
  readonly canReserve: (byteLength: number) => boolean;
};

/** A GPU that can be used, or one line that says why there is none and what to do. */
export type CudaProbe = { readonly gpu: CudaGpu; readonly reason?: never } | { readonly gpu?: never; readonly reason: string };

/** Looks up functions in a library that has been loaded. Throws when one is missing. */
type BindFunctions = <Functions>(signatures: Signatures<Functions>) => Functions;

/** What a probe looks at. Tests describe machines of their own. */
export type CudaHost = {
  /** Path of ONNX Runtime's core library; the provider has to lie beside it. */
  readonly onnxRuntime: () => string;
  readonly exists: (path: string) => boolean;
  /** Whether this process may read and write the file. */
  readonly canOpen: (path: string) => boolean;
  readonly facts: (path: string) => LibraryFacts;
  /** Loads a library for good. Throws when it cannot be had. */
  readonly load: (nameOrPath: string) => BindFunctions;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

const thisMachine: CudaHost = {
  onnxRuntime: findOnnxRuntime,
  exists: existsSync,
  canOpen: (path) => {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
  facts: readLibraryFacts,
  load: (nameOrPath) => {
    const library = loadLibrary(nameOrPath);
    return (signatures) => bindFunctions(library, signatures);
  },
  environment: process.env,
};

export const providerFiles = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"] as const;

/**
 * Major compute capabilities that the provider has code for: 8.x (A100, L4, RTX 30 and 40), 9.0 (H100, H200), 12.x (RTX 50).
 * Version 1.29.0 has neither code for 10.x (B200) nor PTX to make it from; 7.5 has no bfloat16 and no flash attention.
 */
const supportedMajors = [8, 9, 12];

/** The first CUDA device; CUDA_VISIBLE_DEVICES chooses another. */
export const deviceId = 0;

/** Why the GPU cannot be used. */
class NotUsable extends Error {}

/** Checks driver, provider, CUDA libraries and GPU, in the order in which one installs them. Never throws. */
export function probeCuda(host: CudaHost = thisMachine): CudaProbe {
  try {
    return { gpu: describeGpu(loadCuda(host), host) };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

/** Loads everything that the CUDA provider will need, so that it finds all of it. Throws an error with the reason when it cannot be had. */
export function loadCuda(host: CudaHost = thisMachine): CudaLibraries & { readonly providerPath: string } {
  const bindDriver = loadDriver(host);
  const providerPath = findProvider(host);
  const { needed, versions } = host.facts(providerPath);
  if (!versions.includes(onnxRuntimeVersion)) {
    throw new NotUsable(
      `${providerPath} was built for ONNX Runtime ${versions.join(" or ") || "?"}, but the core library is ${onnxRuntimeVersion}; ` +
        `install the provider of ${onnxRuntimeVersion}`,
    );
  }
  const libraries = needed.filter((name) => name.startsWith("libcu") && name !== driverLibrary);
  const cudartName = libraries.find((name) => name.startsWith("libcudart.so."));
  if (!cudartName) throw new NotUsable(`${providerPath} does not link libcudart, unlike ONNX Runtime's own builds; reinstall it`);
  const cudaMajor = cudartName.slice("libcudart.so.".length);
  const loaded = new Map(libraries.map((name) => [name, loadCudaLibrary(name, cudaMajor, host)]));
  const cudart = new Cudart(loaded.get(cudartName)!(cudartSignatures));
  checkDriverVersion(cudart);
  return { providerPath, cudart, driver: new CudaDriver(bindDriver(driverSignatures)) };
}

const driverLibrary = "libcuda.so.1";

function loadDriver(host: CudaHost): BindFunctions {
  try {
    return host.load(driverLibrary);
  } catch {
    throw new NotUsable(`no NVIDIA driver found (${driverLibrary}); install it, or start the container with --gpus all`);
  }
}

function findProvider(host: CudaHost): string {
  const folder = dirname(host.onnxRuntime());
  const missing = providerFiles.filter((name) => !host.exists(join(folder, name)));
  if (missing.length > 0) {
    throw new NotUsable(
      `ONNX Runtime's CUDA provider is not installed: ${folder} lacks ${missing.join(" and ")}; ` +
        `run ${providerInstallCommand()}, or set ONNXRUNTIME_DIR to a folder with these files and libonnxruntime.so.1, version ${onnxRuntimeVersion}`,
    );
  }
  return join(folder, providerFiles[0]);
}

/** Below a toolkit, as NVIDIA's installers and Python's packages have them; the last is the folder itself. */
const libraryFolders = ["lib64", "lib", "targets/x86_64-linux/lib", "."];

/**
 * By the loader's own search, else from where CUDA is usually installed. Once loaded by path, a library is also found by the
 * provider, which asks for it by name.
 */
function loadCudaLibrary(name: string, cudaMajor: string, host: CudaHost): BindFunctions {
  const roots = [host.environment["CUDA_PATH"], host.environment["CUDA_HOME"], "/usr/local/cuda", `/usr/local/cuda-${cudaMajor}`];
  const folders = roots.flatMap((root) => (root ? libraryFolders.map((folder) => join(root, folder)) : []));
  const paths = folders.map((folder) => join(folder, name)).filter((path) => host.exists(path));
  let failure = "";
  for (const candidate of [name, ...paths]) {
    try {
      return host.load(candidate);
    } catch (error) {
      failure = messageOf(error);
    }
  }
  throw new NotUsable(
    `${name} cannot be loaded (${failure}); install the CUDA ${cudaMajor} runtime libraries (cudart, cublas, curand), or set CUDA_PATH to their folder`,
  );
}

function checkDriverVersion(cudart: Cudart): void {
  const [driver, runtime] = [cudart.driverVersion(), cudart.runtimeVersion()];
  if (driver === 0)
    throw new NotUsable("the NVIDIA driver does not respond; load its kernel module, or start the container with --gpus all");
  const [driverMajor, major] = [Math.floor(driver / 1000), Math.floor(runtime / 1000)];
  // Within a major version an older driver runs what a newer toolkit built.
  if (driverMajor >= major) return;
  throw new NotUsable(
    `the NVIDIA driver supports CUDA up to ${version(driver)}, but ONNX Runtime's provider is for CUDA ${major}; ` +
      (major === 13 ? "install driver 580 or newer" : "update the driver"),
  );
}

function describeGpu({ cudart, driver, providerPath }: ReturnType<typeof loadCuda>, host: CudaHost): CudaGpu {
  const deviceCount = countDevices(cudart);
  if (deviceCount === 0) throw new NotUsable(`the driver finds no NVIDIA GPU${whyNoDevice(host)}`);
  const name = cudart.deviceName(deviceId);
  const { major, minor } = cudart.computeCapability(deviceId);
  if (!supportedMajors.includes(major)) {
    throw new NotUsable(
      `${name} has compute capability ${major}.${minor}, but ONNX Runtime ${onnxRuntimeVersion} supports ${supportedMajors.join(".x, ")}.x; ` +
        "choose another GPU with CUDA_VISIBLE_DEVICES",
    );
  }
  cudart.setDevice(deviceId);
  return {
    name,
    computeCapability: `${major}.${minor}`,
    ...cudart.memoryInfo(),
    deviceCount,
    driverVersion: version(cudart.driverVersion()),
    runtimeVersion: version(cudart.runtimeVersion()),
    providerPath,
    pageBytes: driver.pageBytes(deviceId),
    canReserve: (byteLength) => driver.canReserve(byteLength, deviceId),
  };
}

const controlDevice = "/dev/nvidiactl";

function whyNoDevice(host: CudaHost): string {
  const visible = host.environment["CUDA_VISIBLE_DEVICES"];
  if (visible !== undefined) return ` (CUDA_VISIBLE_DEVICES is "${visible}"); unset it, or choose a GPU that nvidia-smi -L lists`;
  if (host.exists(controlDevice) && !host.canOpen(controlDevice)) {
    return `: this user may not open ${controlDevice}; check ls -l /dev/nvidia*, and add the user to that group`;
  }
  return "; start the container with --gpus all, or check nvidia-smi -L (a GPU in MIG mode needs an instance)";
}

function countDevices(cudart: Cudart): number {
  try {
    return cudart.deviceCount();
  } catch (error) {
    if (error instanceof CudaError && error.code === cudaErrorCodes.cudaErrorNoDevice) return 0;
    throw error;
  }
}

function version(code: number): string {
  return `${Math.floor(code / 1000)}.${Math.floor((code % 1000) / 10)}`;
}
