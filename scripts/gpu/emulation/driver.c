// What is called of libcuda, for machines without a GPU: memory and the addresses where it lies, apart from each other. Part of the emulated libcudart.

#define _GNU_SOURCE
#include "emulation.h"
#include <cuda.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { pageBytes = 2 << 20, mostReservations = 256 };

/** By page of its addresses: the number of the memory that lies there, 0 for none, and whether it may be used. */
typedef struct { char* start; size_t pageCount; uint32_t* memory; char* isAccessible; } Reservation;

static Reservation reservations[mostReservations];
/** Memory is pages of a file that lies nowhere on a disk; those that were only ever zeros cost nothing. */
static int memoryFile = -1;
/** By number, from 1 on. */
static char* isTaken;
static uint32_t takenCount, takenRoom;

static Reservation* reservationAt(const void* address) {
  for (int i = 0; i < mostReservations; i++) {
    Reservation* each = &reservations[i];
    if (each->start && (const char*)address >= each->start && (const char*)address < each->start + each->pageCount * pageBytes) return each;
  }
  return NULL;
}

static int isMultiple(uint64_t number) { return number % pageBytes == 0; }

int isUsable(const void* address, size_t size, const char* work) {
  Reservation* reserved = reservationAt(address);
  if (!reserved || size == 0) return 1;
  const size_t offset = (const char*)address - reserved->start;
  for (size_t page = offset / pageBytes; page <= (offset + size - 1) / pageBytes; page++) {
    if (page < reserved->pageCount && reserved->isAccessible[page]) continue;
    note("misuse: %s of %zu bytes at addresses without memory", work, size);
    return 0;
  }
  return 1;
}

int clearPages(void* address, size_t size) {
  return isMultiple((uint64_t)size) && reservationAt(address) && madvise(address, size, MADV_REMOVE) == 0;
}

/** The first of the pages that lie at exactly these addresses; what each of them has must be as told. */
static Reservation* pagesAt(CUdeviceptr address, size_t size, int hasMemory, size_t* first, const char* call) {
  Reservation* reserved = reservationAt((void*)address);
  *first = reserved ? ((char*)address - reserved->start) / pageBytes : 0;
  int isRight = reserved && isMultiple(address - (CUdeviceptr)reserved->start) && isMultiple(size) && size > 0 && *first + size / pageBytes <= reserved->pageCount;
  for (size_t i = 0; isRight && i < size / pageBytes; i++) isRight = (reserved->memory[*first + i] != 0) == hasMemory;
  if (isRight) return reserved;
  note("misuse: %s of %zu bytes at addresses that are not reserved, or have %s memory", call, size, hasMemory ? "no" : "some");
  return NULL;
}

static int isOurs(const CUmemAllocationProp* p) {
  return p->type == CU_MEM_ALLOCATION_TYPE_PINNED && p->requestedHandleTypes == 0 && p->location.type == CU_MEM_LOCATION_TYPE_DEVICE && p->location.id == 0;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) { *device = ordinal; return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE; }
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  *value = attribute == CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED;
  return CUDA_SUCCESS;
}
CUresult cuMemGetAllocationGranularity(size_t* size, const CUmemAllocationProp* properties, CUmemAllocationGranularity_flags option) {
  *size = pageBytes;
  return isOurs(properties) ? CUDA_SUCCESS : (CUresult)misuse("memory of another kind", cudaErrorInvalidValue);
}
CUresult cuMemAddressReserve(CUdeviceptr* address, size_t size, size_t alignment, CUdeviceptr hint, unsigned long long flags) {
  int free = 0;
  while (free < mostReservations && reservations[free].start) free++;
  if (!isMultiple(size) || size == 0 || free == mostReservations) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  char* block = mmap(NULL, size + pageBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  char* start = (char*)(((uintptr_t)block + pageBytes - 1) / pageBytes * pageBytes);
  reservations[free] = (Reservation){start, size / pageBytes, calloc(size / pageBytes, sizeof(uint32_t)), calloc(size / pageBytes, 1)};
  *address = (CUdeviceptr)start;
  return CUDA_SUCCESS;
}
CUresult cuMemAddressFree(CUdeviceptr address, size_t size) {
  size_t first;
  Reservation* reserved = pagesAt(address, size, 0, &first, __func__);
  if (!reserved || first != 0 || size != reserved->pageCount * pageBytes) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  free(reserved->memory), free(reserved->isAccessible);
  reserved->start = NULL; // the addresses stay without access: a later use crashes
  return CUDA_SUCCESS;
}
CUresult cuMemCreate(CUmemGenericAllocationHandle* memory, size_t size, const CUmemAllocationProp* properties, unsigned long long flags) {
  if (size != pageBytes || !isOurs(properties)) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  if (!takeBytes(size)) return CUDA_ERROR_OUT_OF_MEMORY;
  if (memoryFile < 0) memoryFile = memfd_create("emulated GPU", 0);
  if (takenCount == takenRoom) isTaken = realloc(isTaken, (takenRoom = 2 * takenRoom + 1024) + 1);
  *memory = ++takenCount;
  isTaken[takenCount] = 1;
  return ftruncate(memoryFile, (off_t)takenCount * pageBytes) == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}
CUresult cuMemRelease(CUmemGenericAllocationHandle memory) {
  if (memory == 0 || memory > takenCount || !isTaken[memory]) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  isTaken[memory] = 0;
  giveBytes(pageBytes);
  fallocate(memoryFile, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(memory - 1) * pageBytes, pageBytes);
  return CUDA_SUCCESS;
}
CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle memory, unsigned long long flags) {
  size_t first;
  Reservation* reserved = pagesAt(address, size, 0, &first, __func__);
  if (!reserved || size != pageBytes || offset != 0 || memory == 0 || memory > takenCount || !isTaken[memory]) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  reserved->memory[first] = memory;
  return CUDA_SUCCESS;
}
CUresult cuMemUnmap(CUdeviceptr address, size_t size) {
  if (isRefusedInCapture(__func__)) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  size_t first;
  Reservation* reserved = pagesAt(address, size, 1, &first, __func__);
  if (!reserved) return CUDA_ERROR_INVALID_VALUE;
  mmap((void*)address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  memset(reserved->memory + first, 0, size / pageBytes * sizeof(uint32_t));
  memset(reserved->isAccessible + first, 0, size / pageBytes);
  return CUDA_SUCCESS;
}
CUresult cuMemSetAccess(CUdeviceptr address, size_t size, const CUmemAccessDesc* access, size_t count) {
  size_t first;
  Reservation* reserved = pagesAt(address, size, 1, &first, __func__);
  const int isRight = count == 1 && access->location.type == CU_MEM_LOCATION_TYPE_DEVICE && access->location.id == 0 && access->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  if (!reserved || !isRight) return (CUresult)misuse(__func__, cudaErrorInvalidValue);
  for (size_t page = first; page < first + size / pageBytes; page++) {
    char* start = reserved->start + page * pageBytes;
    mmap(start, pageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memoryFile, (off_t)(reserved->memory[page] - 1) * pageBytes);
    reserved->isAccessible[page] = 1;
  }
  return CUDA_SUCCESS;
}
