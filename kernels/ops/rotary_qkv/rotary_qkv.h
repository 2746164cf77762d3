// RotaryQkv: the rotary position embedding of a packed projection q | k | v, with a row of cosines and sines per token. The heads
// of q and k are rotated, those of v are copied, and the result is packed as x is, which is how GroupQueryAttention takes it.
// This header is the contract of all kernels.
//
// For token t, head h < rotatedHeads (first those of q, then those of k) and pair i < headDim / 2, everything in fp32:
//   a = x[t, h, 2i]   b = x[t, h, 2i + 1]
//   y[t, h, 2i]     = a · cosines[t, i] − b · sines[t, i]
//   y[t, h, 2i + 1] = a · sines[t, i] + b · cosines[t, i]
// and y[t, h] = x[t, h] for the other heads, bit for bit.
//
// Limits: headDim is even; rotatedHeads ≤ heads; tokens ≥ 0; y and x do not overlap. NaN and Inf stay in their pair.
#pragma once

#include "../../common/contract.h"

namespace ernie {

struct RotaryQkv {
    void* y;              // [tokens, heads, headDim] of type
    const void* x;        // [tokens, heads, headDim] of type
    const void* cosines;  // [tokens, headDim / 2] of type
    const void* sines;    // [tokens, headDim / 2] of type
    ActivationType type;
    int tokens, heads, rotatedHeads, headDim;
};

// Obvious loops, in double, one thread (rotary_qkv_reference.cc).
void rotaryQkvReference(const RotaryQkv& args);

// rotary_qkv_cpu.cc: host pointers.
void rotaryQkvCpu(const RotaryQkv& args, ParallelFor parallelFor);

// rotary_qkv.cu: device pointers. One kernel launch, nothing allocated or synchronised, so a CUDA graph can capture it.
void rotaryQkvCuda(const RotaryQkv& args, CUstream_st* stream);

}  // namespace ernie
