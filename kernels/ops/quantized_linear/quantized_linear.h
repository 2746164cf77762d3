// QuantizedLinear: y = W · x for every token, W in tiles of 4 or 8 bits (common/tiles.h). CPU only: on a GPU ONNX Runtime's MatMulNBits
// multiplies 16-bit activations, while on a CPU it rounds them to 8 bits. Here they are rounded to 15 bits per block of 32.
//
// Limits: tokens ≥ 0. A token with NaN or Inf in x gets NaN; other tokens are not affected.
#pragma once

#include "../../common/contract.h"
#include "../../common/cpu_lanes.h"

namespace ernie {

struct QuantizedLinear {
    float* y;        // [tokens, weight.rows]
    const float* x;  // [tokens, weight.columns]
    TiledMatrix weight;
    int tokens;
};

// Obvious loops, double sums, one thread.
void quantizedLinearReference(const QuantizedLinear& args);

// Scratch memory belongs to the calling thread and only grows.
void quantizedLinearCpu(const QuantizedLinear& args, ParallelFor parallelFor, CpuKernel kernel = bestCpuKernel());

}  // namespace ernie
