import { describe, expect, test } from "vitest";
import type { CudartFunctions } from "../../src/runtime/cuda/cudart.ts";
import type { DriverFunctions } from "../../src/runtime/cuda/driver.ts";
import { probeCuda, type CudaHost } from "../../src/runtime/cuda/probe.ts";

/** What differs from a machine on which everything is as it should be. */
type Machine = {
  readonly missingFiles?: readonly string[];
  /** Files that are there besides those of ONNX Runtime. */
  readonly files?: readonly string[];
  /** Files that are there and may not be opened. */
  readonly closedFiles?: readonly string[];
  /** Libraries that the loader cannot find by name. */
  readonly unfindable?: readonly string[];
  readonly cudaPath?: string;
  readonly providerVersion?: string;
  readonly driverVersion?: number;
  readonly deviceCount?: number;
  readonly deviceCountError?: number;
  readonly setDeviceError?: number;
  readonly computeCapability?: readonly [number, number];
  readonly visibleDevices?: string;
  /** What the driver answers when it is asked about memory at addresses. */
  readonly memoryDriver?: Partial<DriverFunctions>;
};

const gibibyte = 2 ** 30;

function makeHost(machine: Machine): { host: CudaHost; loaded: string[] } {
  const loaded: string[] = [];
  const environment = {
    ...(machine.cudaPath !== undefined && { CUDA_PATH: machine.cudaPath }),
    ...(machine.visibleDevices !== undefined && { CUDA_VISIBLE_DEVICES: machine.visibleDevices }),
  };
  const host: CudaHost = {
    onnxRuntime: () => "/ort/libonnxruntime.so.1",
    exists: (path) =>
      !machine.missingFiles?.includes(path) &&
      (path.startsWith("/ort/") || !!machine.files?.includes(path) || !!machine.closedFiles?.includes(path)),
    canOpen: (path) => !machine.closedFiles?.includes(path),
    facts: () => ({
      needed: ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13", "libcuda.so.1", "libm.so.6"],
      versions: [machine.providerVersion ?? "1.29.0"],
    }),
    load: (name) => {
      if (machine.unfindable?.includes(name)) throw new Error(`${name}: cannot open shared object file`);
      loaded.push(name);
      return <Functions>() => ({ ...makeCudart(machine), ...makeDriver(), ...machine.memoryDriver }) as Functions;
    },
    environment,
  };
  return { host, loaded };
}

function makeCudart(machine: Machine): Partial<CudartFunctions> {
  return {
    cudaDriverGetVersion: (out) => put(out, machine.driverVersion ?? 13010),
    cudaRuntimeGetVersion: (out) => put(out, 13000),
    cudaGetDeviceCount: (out) => machine.deviceCountError ?? put(out, machine.deviceCount ?? 1),
    cudaGetDeviceProperties: (bytes) => {
      bytes.set(new TextEncoder().encode("NVIDIA H200\0"));
      return 0;
    },
    cudaDeviceGetAttribute: (out, attribute) => put(out, (machine.computeCapability ?? [9, 0])[attribute - 75]!),
    cudaSetDevice: () => machine.setDeviceError ?? 0,
    cudaMemGetInfo: (free, total) => put(free, 139 * gibibyte) + put(total, 140 * gibibyte),
    cudaGetLastError: () => 0,
  };
}

function makeDriver(): Partial<DriverFunctions> {
  return {
    cuDeviceGet: (out, ordinal) => put(out, ordinal),
    cuDeviceGetAttribute: (out, attribute) => put(out, attribute === 102 ? 1 : 0),
    cuMemGetAllocationGranularity: (out) => put(out, 2 ** 21),
  };
}

function put(out: [number | null], value: number): 0 {
  out[0] = value;
  return 0;
}

describe("probeCuda", () => {
  test("describes the GPU when nothing is missing", () => {
    expect(probeCuda(makeHost({}).host)).toEqual({
      gpu: {
        name: "NVIDIA H200",
        computeCapability: "9.0",
        freeBytes: 139 * gibibyte,
        totalBytes: 140 * gibibyte,
        deviceCount: 1,
        driverVersion: "13.1",
        runtimeVersion: "13.0",
        providerPath: "/ort/libonnxruntime_providers_cuda.so",
        pageBytes: 2 ** 21,
        canReserve: expect.any(Function),
      },
    });
  });

  const withoutPages: [string, Partial<DriverFunctions>][] = [
    ["says that it cannot", { cuDeviceGetAttribute: (out) => put(out, 0) }],
    ["does not know the question", { cuDeviceGetAttribute: () => 1 }],
    ["does not find the device", { cuDeviceGet: () => 101 }],
    ["knows no size of a page", { cuMemGetAllocationGranularity: () => 801 }],
  ];
  test.each(withoutPages)("finds a GPU whose driver %s, only without pages", (_, memoryDriver) => {
    const { gpu } = probeCuda(makeHost({ memoryDriver }).host);

    expect(gpu).toMatchObject({ name: "NVIDIA H200", pageBytes: undefined });
  });

  const provider = "/ort/libonnxruntime_providers_cuda.so";
  const reasons: [string, Machine, RegExp][] = [
    ["no driver", { unfindable: ["libcuda.so.1"] }, /^no NVIDIA driver found .*install it/],
    [
      "no provider",
      { missingFiles: [provider] },
      /\/ort lacks libonnxruntime_providers_cuda\.so; run node scripts\/gpu\/install-provider\.mjs, .* version 1\.29\.0/,
    ],
    ["half a provider", { missingFiles: ["/ort/libonnxruntime_providers_shared.so"] }, /\/ort lacks libonnxruntime_providers_shared\.so;/],
    [
      "a provider of another version",
      { providerVersion: "1.30.0" },
      /was built for ONNX Runtime 1\.30\.0, but the core library is 1\.29\.0/,
    ],
    ["no libcudart", { unfindable: ["libcudart.so.13"] }, /^libcudart\.so\.13 cannot be loaded .*install the CUDA 13 runtime libraries/],
    ["no libcublas", { unfindable: ["libcublas.so.13"] }, /^libcublas\.so\.13 cannot be loaded .*set CUDA_PATH to their folder/],
    ["no libcurand", { unfindable: ["libcurand.so.10"] }, /^libcurand\.so\.10 cannot be loaded .*install the CUDA 13 runtime libraries/],
    ["an old driver", { driverVersion: 12080 }, /supports CUDA up to 12\.8, but .* is for CUDA 13; install driver 580 or newer$/],
    ["a driver without its kernel module", { driverVersion: 0 }, /^the NVIDIA driver does not respond; load its kernel module/],
    ["no GPU", { deviceCount: 0 }, /finds no NVIDIA GPU; start the container/],
    ["no GPU, as an error", { deviceCountError: 100 }, /finds no NVIDIA GPU; start the container/],
    [
      "all GPUs hidden",
      { deviceCount: 0, visibleDevices: "" },
      /finds no NVIDIA GPU \(CUDA_VISIBLE_DEVICES is ""\); unset it, or choose a GPU that/,
    ],
    [
      "GPUs that this user may not open",
      { deviceCountError: 100, closedFiles: ["/dev/nvidiactl"] },
      /finds no NVIDIA GPU: this user may not open \/dev\/nvidiactl; .* add the user to that group$/,
    ],
    ["GPUs for all users", { deviceCountError: 100, files: ["/dev/nvidiactl"] }, /finds no NVIDIA GPU; start the container .* MIG mode/],
    [
      "a driver newer than its module",
      { deviceCountError: 803 },
      /^cudaGetDeviceCount: cudaErrorSystemDriverMismatch \(803\); .* restart the machine$/,
    ],
    [
      "switches that are not set up",
      { deviceCountError: 802 },
      /cudaErrorSystemNotReady \(802\); start nvidia-fabricmanager.* conf-compute -srs 1/,
    ],
    [
      "a GPU that another process has to itself",
      { setDeviceError: 46 },
      /^cudaSetDevice: cudaErrorDevicesUnavailable \(46\); .*nvidia-smi -c DEFAULT$/,
    ],
    [
      "a GPU whose memory is all taken",
      { setDeviceError: 2 },
      /^cudaSetDevice: cudaErrorMemoryAllocation \(2\); other programs have taken all/,
    ],
    [
      "a GPU with damaged memory",
      { setDeviceError: 214 },
      /^the GPU has failed: .*cudaErrorECCUncorrectable \(214\); .*nvidia-smi --gpu-reset/,
    ],
    ["a libcuda without a driver", { deviceCountError: 34 }, /cudaErrorStubLibrary \(34\); .* folder stubs out of LD_LIBRARY_PATH$/],
    ["no device file for memory", { setDeviceError: 999 }, /^cudaSetDevice: cudaErrorUnknown \(999\); .*nvidia-modprobe/],
    ["a GPU without code", { computeCapability: [10, 0] }, /^NVIDIA H200 has compute capability 10\.0, but .* supports 8\.x, 9\.x, 12\.x/],
  ];
  test.each(reasons)("with %s it says so in one line", (_, machine, expected) => {
    const { reason } = probeCuda(makeHost(machine).host);

    expect(reason).toMatch(expected);
    expect(reason).not.toContain("\n");
  });

  // A toolkit, Python's packages, a folder of libraries, and two of the usual places, the second beside a toolkit of another version.
  const places: [string | undefined, string][] = [
    ["/opt/cuda", "/opt/cuda/lib64"],
    ["/venv/lib/python3.12/site-packages/nvidia/cu13", "/venv/lib/python3.12/site-packages/nvidia/cu13/lib"],
    ["/opt/libraries", "/opt/libraries"],
    [undefined, "/usr/local/cuda/lib64"],
    [undefined, "/usr/local/cuda-13/lib64"],
  ];
  test.each(places)(
    "where CUDA_PATH is %s it loads libraries that the loader does not find from %s, before the provider needs them",
    (cudaPath, folder) => {
      const unfindable = ["libcublasLt.so.13", "libcudart.so.13"];
      const files = unfindable.map((name) => `${folder}/${name}`);
      const { host, loaded } = makeHost({ ...(cudaPath !== undefined && { cudaPath }), unfindable, files });

      expect(probeCuda(host).reason).toBeUndefined();
      expect(loaded).toEqual(["libcuda.so.1", files[0], "libcublas.so.13", "libcurand.so.10", files[1]]);
    },
  );

  test("never throws on the machine it really runs on", () => {
    const { gpu, reason } = probeCuda();

    expect(gpu ?? reason).toBeTruthy();
  });
});
