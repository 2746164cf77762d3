// QuantizedLinear: y = W · x for every token, W in tiles of 4 or 8 bits (common/tiles.h); activations of every type. The first rows may be heads
// that are rotated by the token's position (common/rotation.h), as q and k of a packed projection q | k | v are.
//
// On a CPU activations are rounded to 15 bits per block of 32; ONNX Runtime's MatMulNBits would round them to 8. On a GPU nothing is rounded but y, and
// for many tokens the weights, to 16 bits.
//
// Limits: tokens ≥ 0. A token with NaN or Inf in x gets NaN
// on a CPU, and what its numbers come to on a GPU; other tokens are not affected.
#pragma once

#include "../../common/contract.h"
#include "../../common/cpu_lanes.h"
#include "../../common/dense_product.h"
#include "../../common/rotation.h"

namespace ernie {

struct QuantizedLinear {
    void* y;        // [tokens, weight.rows]
    const void* x;  // [tokens, weight.columns]
    ActivationType type;
    TiledMatrix weight;
    int tokens;
    Rotation rotation = {};
};

// Obvious loops, double sums, one thread.
void quantizedLinearReference(const QuantizedLinear& args);

// Scratch memory belongs to the calling thread and only grows.
void quantizedLinearCpu(const QuantizedLinear& args, ParallelFor parallelFor, CpuKernel kernel = bestCpuKernel());

size_t quantizedLinearWorkspaceBytes(const QuantizedLinear& args);

// Everything in device memory, the workspace aligned to 256 bytes. Does not wait; a graph that is captured may hold it.
void quantizedLinearCuda(const QuantizedLinear& args, void* workspace, const QueueProduct& queueProduct, CUstream_st* stream);

}  // namespace ernie
