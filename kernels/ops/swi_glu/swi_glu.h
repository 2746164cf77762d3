// SwiGlu: the gate of a feed-forward block, from one projection that holds gate | up. This header is the contract of all kernels.
//
// For row r and column i < width, everything in fp32:
//   y[r, i] = silu(x[r, i]) · x[r, width + i],   silu(z) = z / (1 + exp(−z))
//
// Limits: width is even; rows ≥ 0; y and x do not overlap. NaN and Inf give unspecified values in their own column of their row only.
#pragma once

#include "../../common/contract.h"

namespace ernie {

struct SwiGlu {
    void* y;        // [rows, width] of type
    const void* x;  // [rows, 2 · width] of type
    ActivationType type;
    int rows, width;
};

// Obvious loops, in double, one thread (swi_glu_reference.cc).
void swiGluReference(const SwiGlu& args);

// swi_glu_cpu.cc: host pointers.
void swiGluCpu(const SwiGlu& args, ParallelFor parallelFor);

// swi_glu.cu: device pointers. One kernel launch, nothing allocated or synchronised, so a CUDA graph can capture it.
void swiGluCuda(const SwiGlu& args, CUstream_st* stream);

}  // namespace ernie
