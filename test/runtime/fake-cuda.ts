// A GPU made of host memory: libcudart's functions with every allocation, copy and free checked, and a stream that may run late.

import koffi from "koffi";
import { Cudart, cudaErrorCodes, type CudartFunctions, type Out } from "../../src/runtime/cuda/cudart.ts";
import { CudaDriver, type CudaLibraries } from "../../src/runtime/cuda/driver.ts";
import type { Pointer } from "../../src/runtime/ort-api.ts";
import { FakeDriver, overlaps, type Range } from "./fake-driver.ts";

type Space = "device" | "pinned";

type Allocation = { readonly space: Space; readonly address: Pointer; readonly size: number; isLive: boolean };

type Work = { readonly label: string; readonly ranges: readonly Range[]; readonly run: () => void };

export type FakeCudaOptions = {
  /** Queued work waits for a synchronization, as late as a GPU may be; otherwise it is done at once. */
  readonly isLate: boolean;
  /** The allocation of this number (from 0) finds no memory. */
  readonly failingAllocation?: number;
  /** Of memory that is put to addresses; a multiple of the host's. 0: this GPU cannot do that. */
  readonly pageBytes: number;
};

type CopyCounts = { upload: number; download: number; onDevice: number; rows: number; synchronize: number; run: number };

const libc = koffi.load("libc.so.6");
const alignedAlloc = libc.func("void *aligned_alloc(size_t, size_t)") as (alignment: number, size: number) => Pointer;
const free = libc.func("void free(void *)") as (address: Pointer) => void;
const memcpy = libc.func("void *memcpy(void *, const void *, size_t)") as (to: Pointer, from: Pointer, size: number) => void;
const memset = libc.func("void *memset(void *, int, size_t)") as (address: Pointer, value: number, size: number) => void;

const alignment = 256;
const totalBytes = 2 ** 33;
/** Of float32, bfloat16 and float16: a NaN. What nobody has written, or what has been freed, must not go unnoticed. */
const garbage = 0xff;
const kinds = [undefined, "upload", "download", "onDevice"] as const;

export class FakeCuda implements CudartFunctions {
  readonly stream: Pointer = 0x57ea0n;
  /** What was done wrong, in order; it has been thrown as well. */
  readonly violations: string[] = [];
  readonly driver: FakeDriver;
  readonly libraries: CudaLibraries;
  #options: FakeCudaOptions;
  /** Freed memory is kept until the end, so that its addresses do not come again. */
  readonly #allocations: Allocation[] = [];
  #streamIsLive = false;
  #queue: Work[] = [];
  #counts = noCopies();
  allocationCount = 0;

  constructor(options: Partial<FakeCudaOptions> = {}) {
    this.#options = { isLate: true, pageBytes: 16_384, ...options };
    this.driver = new FakeDriver(this, this.#options.pageBytes);
    this.libraries = { cudart: new Cudart(this), driver: new CudaDriver(this.driver) };
  }

  /** Copies and synchronizations since the last call. */
  takeCounts(): CopyCounts {
    const counts = this.#counts;
    this.#counts = noCopies();
    return counts;
  }

  /** Leaks: what is allocated now. */
  get live(): string[] {
    const memory = this.#allocations.filter(({ isLive }) => isLive).map(({ space, size }) => `${size} bytes ${space}`);
    return [...memory, ...this.driver.live, ...(this.#streamIsLive ? ["stream"] : [])];
  }

  set failingAllocation(number: number) {
    this.#options = { ...this.#options, failingAllocation: number };
    this.allocationCount = 0;
  }

  /** Records a misuse and throws it. */
  violate(message: string): never {
    this.violations.push(message);
    throw new Error(`fake CUDA: ${message}`);
  }

  /** Counts an allocation. Whether there is no memory for it. */
  nextAllocationFails(): boolean {
    return this.allocationCount++ === this.#options.failingAllocation;
  }

  /** What is queued that uses the range. */
  userOf(range: Range): string | undefined {
    return this.#queue.find(({ ranges }) => ranges.some((used) => overlaps(used, range)))?.label;
  }

  /**
   * Whether the range lies in one piece of live memory of that kind; throws a violation when it lies in a freed one, or across an end.
   * What lies at reserved addresses must have memory everywhere, of a tensor at least in part.
   */
  isIn(space: Space, range: Range, hasMemory: "everywhere" | "in part" = "everywhere"): boolean {
    const { address, byteLength } = range;
    if (this.driver.isReserved(range, hasMemory)) return space === "device";
    const found = this.#allocations.find((a) => a.address <= address && address < a.address + BigInt(a.size));
    if (!found) return false;
    if (!found.isLive) this.violate(`use of freed ${found.space} memory`);
    if (address + BigInt(byteLength) > found.address + BigInt(found.size))
      this.violate(`${byteLength} bytes reach beyond ${found.space} memory`);
    return found.space === space;
  }

  enqueue(work: Work): void {
    if (!this.#streamIsLive) this.violate(`${work.label} on a stream that does not exist`);
    if (this.#options.isLate) this.#queue.push(work);
    else work.run();
  }

  countRun(): void {
    this.#counts.run++;
  }

  /** Gives the memory back to the machine. */
  dispose(): void {
    for (const { address } of this.#allocations) free(address);
    this.#allocations.length = 0;
    this.driver.dispose();
  }

  cudaDriverGetVersion(version: Out<number>): number {
    return put(version, 13000);
  }

  cudaRuntimeGetVersion(version: Out<number>): number {
    return put(version, 13000);
  }

  cudaGetDeviceCount(count: Out<number>): number {
    return put(count, 1);
  }

  cudaGetDeviceProperties(): number {
    return 0;
  }

  cudaDeviceGetAttribute(value: Out<number>): number {
    return put(value, 9);
  }

  cudaSetDevice(): number {
    return 0;
  }

  cudaGetLastError(): number {
    return 0;
  }

  cudaMemGetInfo(freeBytes: Out<number>, total: Out<number>): number {
    const used = this.#allocations
      .filter((a) => a.isLive && a.space === "device")
      .reduce((sum, { size }) => sum + size, this.driver.usedBytes);
    return put(freeBytes, totalBytes - used) + put(total, totalBytes);
  }

  cudaMalloc(pointer: Out<Pointer>, byteLength: number): number {
    return this.#allocate("device", pointer, byteLength);
  }

  cudaHostAlloc(pointer: Out<Pointer>, byteLength: number): number {
    return this.#allocate("pinned", pointer, byteLength);
  }

  cudaFree(pointer: Pointer): number {
    return this.#free("device", pointer);
  }

  cudaFreeHost(pointer: Pointer): number {
    return this.#free("pinned", pointer);
  }

  cudaMemcpyAsync(to: Pointer, from: Pointer, byteLength: number, kind: number, stream: Pointer): number {
    const name = kinds[kind];
    if (!name) this.violate(`copy of kind ${kind}`);
    const [target, source] = [[{ address: to, byteLength }], [{ address: from, byteLength }]];
    this.#checkCopy(name, target, source, stream);
    this.#counts[name]++;
    this.enqueue({ label: name, ranges: [...target, ...source], run: () => memcpy(to, from, byteLength) });
    return 0;
  }

  // oxlint-disable-next-line max-params -- as C has it
  cudaMemcpy2DAsync(
    to: Pointer,
    toPitch: number,
    from: Pointer,
    fromPitch: number,
    width: number,
    height: number,
    kind: number,
    stream: Pointer,
  ): number {
    if (kinds[kind] !== "onDevice") this.violate(`copy of rows of kind ${kind}`);
    if (width > toPitch || width > fromPitch) this.violate(`rows of ${width} bytes overlap: pitches ${toPitch} and ${fromPitch}`);
    const target = rows(to, toPitch, width, height);
    const source = rows(from, fromPitch, width, height);
    this.#checkCopy("onDevice", target, source, stream);
    this.#counts.rows++;
    const run = (): void => {
      for (const [i, { address }] of target.entries()) memcpy(address, source[i]!.address, width);
    };
    this.enqueue({ label: "copy of rows", ranges: [...target, ...source], run });
    return 0;
  }

  cudaMemsetAsync(pointer: Pointer, value: number, byteLength: number, stream: Pointer): number {
    this.#checkStream(stream);
    const range = { address: pointer, byteLength };
    if (!this.isIn("device", range)) this.violate("memset of what is not device memory");
    this.enqueue({ label: "memset", ranges: [range], run: () => memset(pointer, value, byteLength) });
    return 0;
  }

  cudaStreamCreateWithFlags(stream: Out<Pointer>): number {
    if (this.#streamIsLive) this.violate("a second stream");
    this.#streamIsLive = true;
    stream[0] = this.stream;
    return 0;
  }

  cudaStreamSynchronize(stream: Pointer): number {
    this.#checkStream(stream);
    this.#counts.synchronize++;
    for (let work = this.#queue.shift(); work; work = this.#queue.shift()) work.run();
    return 0;
  }

  cudaStreamDestroy(stream: Pointer): number {
    this.#checkStream(stream);
    if (this.#queue.length > 0) this.violate(`stream destroyed before ${this.#queue[0]!.label}`);
    this.#streamIsLive = false;
    return 0;
  }

  #allocate(space: Space, pointer: Out<Pointer>, byteLength: number): number {
    if (this.nextAllocationFails()) return cudaErrorCodes.cudaErrorMemoryAllocation;
    const size = Math.ceil(byteLength / alignment) * alignment;
    const address = alignedAlloc(alignment, size);
    memset(address, garbage, size);
    this.#allocations.push({ space, address, size: byteLength, isLive: true });
    pointer[0] = address;
    return 0;
  }

  #free(space: Space, pointer: Pointer): number {
    const allocation = this.#allocations.find(({ address }) => address === pointer);
    if (!allocation) this.violate(`free of an unknown ${space} address`);
    if (allocation.space !== space) this.violate(`${allocation.space} memory freed as ${space} memory`);
    if (!allocation.isLive) this.violate(`${space} memory freed twice`);
    const user = this.userOf({ address: pointer, byteLength: allocation.size });
    if (user) this.violate(`${space} memory freed before ${user} that uses it`);
    allocation.isLive = false;
    memset(allocation.address, garbage, allocation.size);
    return 0;
  }

  #checkCopy(kind: "upload" | "download" | "onDevice", to: readonly Range[], from: readonly Range[], stream: Pointer): void {
    this.#checkStream(stream);
    const [target, source] = [kind === "download" ? "pinned" : "device", kind === "upload" ? "pinned" : "device"] as const;
    if (!to.every((range) => this.isIn(target, range))) this.violate(`${kind} to what is not ${target} memory`);
    if (!from.every((range) => this.isIn(source, range))) this.violate(`${kind} from what is not ${source} memory`);
  }

  #checkStream(stream: Pointer): void {
    if (stream !== this.stream || !this.#streamIsLive) this.violate(`unknown stream ${stream}`);
  }
}

/** Between rows there may be what does not belong to them, or nothing. */
function rows(address: Pointer, pitch: number, width: number, count: number): Range[] {
  return Array.from({ length: count }, (_, row) => ({ address: address + BigInt(row * pitch), byteLength: width }));
}

function noCopies(): CopyCounts {
  return { upload: 0, download: 0, onDevice: 0, rows: 0, synchronize: 0, run: 0 };
}

function put(out: Out<number>, value: number): 0 {
  out[0] = value;
  return 0;
}
