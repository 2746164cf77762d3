// For tests and benchmarks of CUDA kernels: arrays on the device, and a kernel queued eagerly or as a captured graph. With
// ERNIE_CUDA_EMULATOR "device" memory is the host's.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "launch.cuh"

namespace ernie {

#ifdef ERNIE_CUDA_EMULATOR
constexpr bool kEmulated = true;
inline void* allocate(size_t bytes) {
    void* memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    memset(memory, 0xff, bytes);  // NaN: what nobody wrote shows
    emulator::addDeviceMemory(memory, bytes);
    return memory;
}
inline void release(void* memory) {
    emulator::removeDeviceMemory(memory);
    std::free(memory);
}
inline void copy(void* to, const void* from, size_t bytes) {
    if (bytes > 0) memcpy(to, from, bytes);
}
inline void synchronize() {}
inline bool skipsWithoutDevice() { return false; }
#else
constexpr bool kEmulated = false;
inline void* allocate(size_t bytes) {
    void* memory;
    CUDA_CHECK(cudaMalloc(&memory, std::max(bytes, size_t(1))));
    CUDA_CHECK(cudaMemset(memory, 0xff, bytes));
    return memory;
}
inline void release(void* memory) { cudaFree(memory); }
inline void copy(void* to, const void* from, size_t bytes) { CUDA_CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDefault)); }
inline void synchronize() { CUDA_CHECK(cudaDeviceSynchronize()); }

// Says so where there is no GPU to test on. A GPU that cannot be used, as with too old a driver, is an error.
inline bool skipsWithoutDevice() {
    int devices = 0, driver = 0;
    const cudaError_t error = cudaGetDeviceCount(&devices);
    CUDA_CHECK(cudaDriverGetVersion(&driver));  // 0: there is none
    const bool isMissing = error == cudaErrorNoDevice || driver == 0;
    if (isMissing) std::printf("SKIPPED: no CUDA device here; the emulated build of this file runs anywhere\n");
    else CUDA_CHECK(error);
    return isMissing;
}
#endif

template <typename T>
class DeviceArray {
public:
    explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
        copy(data_, values.data(), values.size() * sizeof(T));
    }
    explicit DeviceArray(size_t count) : data_(static_cast<T*>(allocate(count * sizeof(T)))), count_(count) {}
    ~DeviceArray() { release(data_); }
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;
    T* get() const { return data_; }
    std::vector<T> read() const {
        std::vector<T> values(count_);
        copy(values.data(), data_, count_ * sizeof(T));
        return values;
    }

private:
    T* data_;
    size_t count_;
};

#ifdef ERNIE_CUDA_EMULATOR
inline cudaStream_t stream() { return nullptr; }

template <typename Queue>
void replayAsGraph(Queue queue) {
    queue(nullptr);
}
#else
inline cudaStream_t stream() {
    static cudaStream_t created = [] {
        cudaStream_t s;
        CUDA_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
        return s;
    }();
    return created;
}

// What queue(stream) queues, as a graph that can be launched.
template <typename Queue>
cudaGraphExec_t captureGraph(Queue queue) {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    queue(stream());
    CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
    CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
    return executable;
}

template <typename Queue>
void replayAsGraph(Queue queue) {
    const cudaGraphExec_t graph = captureGraph(queue);
    CUDA_CHECK(cudaGraphLaunch(graph, stream()));
    CUDA_CHECK(cudaStreamSynchronize(stream()));
    CUDA_CHECK(cudaGraphExecDestroy(graph));
}
#endif

// What queue(y, stream) writes to y, which gets `bytes` bytes.
template <typename Queue>
std::vector<uint8_t> runOnDevice(size_t bytes, bool asGraph, Queue queue) {
    const DeviceArray<uint8_t> y(bytes);
    const auto queueIt = [&](cudaStream_t to) { queue(y.get(), to); };
    synchronize();
    asGraph ? replayAsGraph(queueIt) : queueIt(stream());
    synchronize();
    return y.read();
}

}  // namespace ernie
