// What the CPU kernel has per instruction set, and the form in which activations meet the weights.
#pragma once

#include "tiles.h"

namespace ernie {

// The instruction sets that the CPU kernels have code for.
enum class CpuKernel { kPortable, kAvx2, kAvx512Vnni, kNeonDot };
CpuKernel bestCpuKernel();

// 32 activations as int16 with one scale: x[c] = scale · values[position of c], error at most scale / 2, scale = max|x| / 32767.
// Positions in each group of 4 columns are 0 2 1 3: a 32-bit load gives columns (0, 2) or (1, 3), which is how even and odd
// bytes of a weight word pair up after one mask or shift. Where an instruction sums products of four bytes, each value is two digits
// instead, value = 256 · high + low, columns in order; and scale = max|x| / 32639, so that both are int8.
struct ActivationBlock {
    union {
        int16_t values[32];
        struct {
            int8_t high[32], low[32];
        } digits;
    };
    float scale;
    int32_t offset;  // −middle · Σ values: what the weights' zero point adds to every row's dot product
};

constexpr int kTokenGroup = 8;  // tokens that share one pass over a tile

struct CpuLanes {
    // out[n][16] = tile of 16 rows · each of n ≤ kTokenGroup activation rows of `blocks` blocks.
    void (*dot4)(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out);
    void (*dot8)(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out);
    void (*quantize)(const float* x, int blocks, int middle, ActivationBlock* out);
    // One block of silu(gate) * up; gate and up [32].
    void (*swiglu)(const float* gate, const float* up, float* h);
    float (*dotFloat)(const float* a, const float* b, int count);  // count is a multiple of 32
    void (*addScaled)(float* y, const float* x, float scale);      // y[16] += scale · x[16]

    // out[n][16] = rows 16·tile… of the matrix · each of n ≤ kTokenGroup activation rows.
    void dotTile(const TiledMatrix& matrix, size_t tile, const ActivationBlock* const* rows, int n, float* out) const {
        const int blocks = matrix.columns / kBlockColumns;
        const size_t first = tile * blocks;
        const auto dot = matrix.bits == 4 ? dot4 : dot8;
        dot(matrix.codes + first * 64 * matrix.bits, matrix.scales + first * kTileRows, blocks, rows, n, out);
    }
};

const CpuLanes& lanesOf(CpuKernel kernel);

}  // namespace ernie
