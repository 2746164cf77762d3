// GatedMlp: y = addend + down · (silu(gate · x) * (up · x)) for every token, silu(z) = z / (1 + exp(-z)): a dense layer, or the shared
// experts with what the routed ones gave as the addend. Weights in tiles of 4 or 8 bits (common/tiles.h); gateUp has 2·width rows, its tile 2i is
// gate rows 16i…16i+15, tile 2i+1 up rows 16i…16i+15. CPU only, for the reason quantized_linear.h gives; x and h are rounded to 15 bits.
//
// Limits: hidden and width are multiples of 32 (the converter pads a width with zero weights), tokens ≥ 0. A token with NaN or Inf in x
// gets NaN; other tokens are not affected.
#pragma once

#include "../../common/contract.h"
#include "../../common/cpu_lanes.h"

namespace ernie {

struct GatedMlp {
    float* y;             // [tokens, hidden]; may be the addend
    const float* x;       // [tokens, hidden]
    const float* addend;  // [tokens, hidden] or null
    TiledMatrix gateUp;   // [2·width, hidden]
    TiledMatrix down;     // [hidden, width]
    int tokens;
};

// Obvious loops, double sums, one thread.
void gatedMlpReference(const GatedMlp& args);

// Scratch memory belongs to the calling thread and only grows.
void gatedMlpCpu(const GatedMlp& args, ParallelFor parallelFor, CpuKernel kernel = bestCpuKernel());

}  // namespace ernie
