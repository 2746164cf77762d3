// What the contracts of the ops share.
#pragma once

#include <cstddef>

struct CUstream_st;  // *cudaStream_t, without CUDA's headers

namespace ernie {

enum class ActivationType { kFloat32, kFloat16, kBfloat16 };

inline size_t elementBytes(ActivationType type) { return type == ActivationType::kFloat32 ? 4 : 2; }

// Runs task(context, i) for i in 0…count-1, in any order, possibly at once; returns when all are done.
struct ParallelFor {
    void (*run)(void* pool, void (*task)(void* context, size_t i), size_t count, void* context);
    void* pool;
};

}  // namespace ernie
