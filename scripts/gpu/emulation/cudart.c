// A libcudart for machines without a GPU: memory and copies are real, in host memory; kernels are accepted and do nothing.
// Numbers that come out are meaningless. What shows is whether the host's side works: sessions open on a GPU of compute capability 9.0, every node
// finds a CUDA kernel, allocations, copies and frees match, and a CUDA graph can be captured: what CUDA forbids meanwhile is refused here too.
// Misuse is written to the file that EMULATED_CUDA_LOG names, one line each.

#include "emulation.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const int multiprocessors = 132, sharedBytesPerBlock = 232448, sharedBytesPerMultiprocessor = 233472;
static const uint64_t liveMark = 0x11febeefcafef00d;

/** Before each piece of memory; as long as the alignment of CUDA's allocations. */
typedef struct { uint64_t mark; size_t size; char padding[240]; } Header;

static size_t usedBytes, mostUsedBytes;
static int isCapturing;
static cudaStream_t capturedStream;
static struct { long launches, captured, graphLaunches, allocations, copies, synchronizations; } counts;

void note(const char* format, ...) {
  const char* path = getenv("EMULATED_CUDA_LOG");
  FILE* file = path ? fopen(path, "a") : stderr;
  if (!file) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fputc('\n', file);
  if (file != stderr) fclose(file);
}

__attribute__((destructor)) static void summarize(void) {
  if (counts.launches == 0) return;
  note("summary: %ld launches, %ld of them captured, %ld graph launches, %ld allocations, %ld copies, %ld synchronizations, at most %zu MiB in use, %zu bytes not freed",
       counts.launches, counts.captured, counts.graphLaunches, counts.allocations, counts.copies, counts.synchronizations, mostUsedBytes >> 20, usedBytes);
}

cudaError_t misuse(const char* what, cudaError_t code) {
  note("misuse: %s", what);
  return code;
}

int isRefusedInCapture(const char* call) { return isCapturing && misuse(call, cudaErrorStreamCaptureUnsupported); }

int takeBytes(size_t size) {
  if (size > totalBytes - usedBytes) return 0;
  usedBytes += size;
  if (usedBytes > mostUsedBytes) mostUsedBytes = usedBytes;
  return 1;
}
void giveBytes(size_t size) { usedBytes -= size; }

/** Calls that CUDA refuses while the stream is captured: the graph would not contain what they wait for. */
#define REFUSE_IN_CAPTURE() if (isRefusedInCapture(__func__)) return cudaErrorStreamCaptureUnsupported

// ---- kernels

/** Names of kernels by the address that the host launches them with; open addressing. */
enum { kernelSlots = 1 << 17 };
static struct { const void* function; const char* name; long captured; } kernels[kernelSlots];

static unsigned slotOf(const void* function) {
  unsigned slot = (unsigned)((uintptr_t)function * 0x9e3779b97f4a7c15 >> 40) % kernelSlots;
  while (kernels[slot].function && kernels[slot].function != function) slot = (slot + 1) % kernelSlots;
  return slot;
}

/** What a captured graph consists of; with EMULATED_CUDA_KERNELS each kernel by name. */
static struct { long kernels, copies, fills; } captured;

static void describeCapture(void) {
  note("graph: %ld kernels, %ld copies, %ld fills", captured.kernels, captured.copies, captured.fills);
  for (unsigned slot = 0; slot < kernelSlots; slot++) {
    if (kernels[slot].captured > 0 && getenv("EMULATED_CUDA_KERNELS")) note("kernel: %ld %s", kernels[slot].captured, kernels[slot].name ? kernels[slot].name : "?");
    kernels[slot].captured = 0;
  }
  memset(&captured, 0, sizeof captured);
}

static cudaError_t launch(const void* function, dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.x * block.y * block.z > 1024) return misuse("launch of an impossible grid", cudaErrorInvalidConfiguration);
  if (grid.y > 65535 || grid.z > 65535 || shared > (size_t)sharedBytesPerBlock) return misuse("launch of a grid or with shared memory beyond the limits", cudaErrorInvalidConfiguration);
  if (isCapturing && stream != capturedStream) return misuse("launch on another stream than the captured one", cudaErrorStreamCaptureUnsupported);
  counts.launches++;
  if (isCapturing) {
    const unsigned slot = slotOf(function);
    kernels[slot].function = function;
    kernels[slot].captured++;
    captured.kernels++;
    counts.captured++;
  }
  return cudaSuccess;
}

static __thread struct { dim3 grid, block; size_t shared; cudaStream_t stream; } pushed;

void** __cudaRegisterFatBinary(void* binary) { static void* handle; return &handle; }
void __cudaRegisterFatBinaryEnd(void** handle) {}
void __cudaUnregisterFatBinary(void** handle) {}
void __cudaRegisterFunction(void** handle, const char* host, char* device, const char* name, int limit, void* a, void* b, void* c, void* d, int* e) {
  const unsigned slot = slotOf(host);
  kernels[slot].function = host, kernels[slot].name = name;
}
void __cudaRegisterVar(void** handle, char* host, char* device, const char* name, int external, size_t size, int constant, int global) {}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed.grid = grid, pushed.block = block, pushed.shared = shared, pushed.stream = stream;
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = pushed.grid, *block = pushed.block, *shared = pushed.shared, *(cudaStream_t*)stream = pushed.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) { *kernel = (cudaKernel_t)function; return cudaSuccess; }
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) { return launch(kernel, grid, block, shared, stream); }
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) { return launch(function, grid, block, shared, stream); }
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) { return launch(function, config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream); }
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  if (isCapturing) return misuse("a host function in a captured graph", cudaErrorStreamCaptureUnsupported);
  function(data);
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes* attributes, const void* function) {
  memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = 1024, attributes->numRegs = 64, attributes->maxDynamicSharedSizeBytes = sharedBytesPerBlock;
  attributes->binaryVersion = attributes->ptxVersion = 90;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int threads, size_t shared, unsigned flags) { *blocks = 2; return cudaSuccess; }

// ---- the device

cudaError_t cudaGetDevice(int* device) { *device = 0; return cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceCount(int* count) { *count = 1; return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { *version = CUDART_VERSION; return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { *version = CUDART_VERSION; return cudaSuccess; }
cudaError_t cudaDeviceGetAttribute(int* value, enum cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrMultiProcessorCount: *value = multiprocessors; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = sharedBytesPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = sharedBytesPerMultiprocessor; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp* p, int device) {
  memset(p, 0, sizeof *p);
  strcpy(p->name, "emulated GPU, kernels do nothing");
  p->major = 9, p->multiProcessorCount = multiprocessors, p->warpSize = 32, p->totalGlobalMem = totalBytes, p->l2CacheSize = 50 << 20;
  p->maxThreadsPerBlock = 1024, p->maxThreadsPerMultiProcessor = 2048, p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->sharedMemPerBlock = 49152, p->sharedMemPerBlockOptin = sharedBytesPerBlock, p->sharedMemPerMultiprocessor = sharedBytesPerMultiprocessor;
  p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
  return cudaSuccess;
}
static int nothing(void) { return 0; }
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned version, unsigned long long flags, enum cudaDriverEntryPointQueryResult* result) {
  *function = (void*)nothing;
  if (result) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}
cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
cudaError_t cudaProfilerStop(void) { return cudaSuccess; }
cudaError_t cudaGetLastError(void) { return cudaSuccess; }
cudaError_t cudaPeekAtLastError(void) { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t error) { return error ? "an error of the emulated GPU" : "no error"; }
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

// ---- memory

// Zeros, because nothing will compute anything; pages that nobody touches cost nothing, so that large models fit.
static cudaError_t allocate(void** pointer, size_t size) {
  if (!takeBytes(size)) return cudaErrorMemoryAllocation;
  Header* header = mmap(NULL, sizeof(Header) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (header == MAP_FAILED) return cudaErrorMemoryAllocation;
  header->mark = liveMark, header->size = size;
  counts.allocations++;
  *pointer = header + 1;
  return cudaSuccess;
}
static cudaError_t release(void* pointer) {
  if (!pointer) return cudaSuccess;
  Header* header = (Header*)pointer - 1;
  if (header->mark != liveMark) return misuse("free of an unknown address", cudaErrorInvalidValue);
  giveBytes(header->size);
  munmap(header, sizeof(Header) + header->size); // an access, or a second free, crashes
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** pointer, size_t size) { REFUSE_IN_CAPTURE(); return allocate(pointer, size); }
cudaError_t cudaMallocHost(void** pointer, size_t size) { REFUSE_IN_CAPTURE(); return allocate(pointer, size); }
cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned flags) { REFUSE_IN_CAPTURE(); return allocate(pointer, size); }
cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t size, cudaMemPool_t pool, cudaStream_t stream) { return allocate(pointer, size); }
cudaError_t cudaFree(void* pointer) { REFUSE_IN_CAPTURE(); return release(pointer); }
cudaError_t cudaFreeHost(void* pointer) { REFUSE_IN_CAPTURE(); return release(pointer); }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) { return release(pointer); }
cudaError_t cudaMemGetInfo(size_t* available, size_t* total) { *available = totalBytes - usedBytes, *total = totalBytes; return cudaSuccess; }

// ---- copies and fills

static cudaError_t copy(void* to, const void* from, size_t size) {
  if (!isUsable(to, size, "copy") || !isUsable(from, size, "copy")) return cudaErrorIllegalAddress;
  counts.copies++, captured.copies += isCapturing;
  memmove(to, from, size);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t size, enum cudaMemcpyKind kind) { REFUSE_IN_CAPTURE(); return copy(to, from, size); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, enum cudaMemcpyKind kind, cudaStream_t stream) {
  if (isCapturing && kind != cudaMemcpyDeviceToDevice) note("misuse: a captured copy between host and device keeps its host address, %zu bytes", size);
  return copy(to, from, size);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t toPitch, const void* from, size_t fromPitch, size_t width, size_t height, enum cudaMemcpyKind kind, cudaStream_t stream) {
  for (size_t row = 0; row < height; row++) {
    const cudaError_t error = copy((char*)to + row * toPitch, (const char*)from + row * fromPitch, width);
    if (error) return error;
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t size, size_t offset, enum cudaMemcpyKind kind) { REFUSE_IN_CAPTURE(); memset(to, 0, size); return cudaSuccess; }
static cudaError_t fill(void* pointer, int value, size_t size) {
  if (!isUsable(pointer, size, "fill")) return cudaErrorIllegalAddress;
  if (value == 0 && clearPages(pointer, size)) return cudaSuccess;
  memset(pointer, value, size);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* pointer, int value, size_t size) { return fill(pointer, value, size); }
cudaError_t cudaMemsetAsync(void* pointer, int value, size_t size, cudaStream_t stream) { captured.fills += isCapturing; return fill(pointer, value, size); }

// ---- streams, events, graphs

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) { *stream = malloc(1); return cudaSuccess; }
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { free(stream); return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { REFUSE_IN_CAPTURE(); counts.synchronizations++; return cudaSuccess; }
cudaError_t cudaDeviceSynchronize(void) { REFUSE_IN_CAPTURE(); counts.synchronizations++; return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) { *event = malloc(1); return cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { free(event); return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t event) { REFUSE_IN_CAPTURE(); counts.synchronizations++; return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) { *ms = 1; return cudaSuccess; }
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) { isCapturing = 1, capturedStream = stream; return cudaSuccess; }
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) { isCapturing = 0; describeCapture(); *graph = malloc(1); return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus* status) {
  *status = isCapturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) { *executable = malloc(1); return cudaSuccess; }
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { free(graph); return cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { free(executable); return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) { counts.graphLaunches++; return cudaSuccess; }
