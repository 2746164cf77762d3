// How our kernels are started and get their dynamic shared memory. With ERNIE_CUDA_EMULATOR the same sources run on the CPU
// (cuda_emulator.h), so that a machine without a GPU can test them.
#pragma once

#ifdef ERNIE_CUDA_EMULATOR
#include "cuda_emulator.h"
#else

#include "cuda_check.cuh"

namespace ernie {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

// More than 48 KiB of dynamic shared memory must be asked for; the call is no stream operation, so a capture may hold it.
template <typename... Args>
void launch(void (*kernel)(Args...), dim3 grid, int threads, size_t sharedBytes, cudaStream_t stream, Args... args) {
    if (sharedBytes > 48 * 1024)
        CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(sharedBytes)));
    kernel<<<grid, threads, sharedBytes, stream>>>(args...);
    CUDA_CHECK(cudaGetLastError());
}

// As launch, but on GPUs of compute capability 9.0 and newer blocks start once every block of the kernel queued before has called letNextStart() or ended.
// Until a thread has called waitForPrevious() it must not touch what kernels that may still run write, nor write what they read. Every such kernel waits
// in some thread, so when it ends, those before it have ended too. For kernels with static shared memory only. ("Programmatic dependent launch".)
template <typename... Args>
void launchEarly(void (*kernel)(Args...), dim3 grid, int threads, cudaStream_t stream, Args... args) {
    cudaFuncAttributes attributes;
    CUDA_CHECK(cudaFuncGetAttributes(&attributes, kernel));
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.stream = stream;
    config.attrs = &early;
    config.numAttrs = attributes.ptxVersion >= 90 ? 1 : 0;  // older code, also where a driver translates it for a newer GPU, cannot wait
    CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, args...));
}

// In kernels before one that launchEarly queues, else without effect.
__device__ inline void letNextStart() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Until the kernel queued before has ended, and what it wrote can be read. At once in a kernel that `launch` queued.
__device__ inline void waitForPrevious() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline char* dynamicShared() {
    extern __shared__ __align__(128) char memory[];
    return memory;
}

}  // namespace ernie

#endif

namespace ernie {

__host__ __device__ inline int divideUp(int a, int b) { return (a + b - 1) / b; }

}  // namespace ernie
