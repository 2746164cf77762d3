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

__device__ inline char* dynamicShared() {
    extern __shared__ __align__(128) char memory[];
    return memory;
}

}  // namespace ernie

#endif

namespace ernie {

__host__ __device__ inline int divideUp(int a, int b) { return (a + b - 1) / b; }

}  // namespace ernie
