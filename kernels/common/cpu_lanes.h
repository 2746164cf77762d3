// What the CPU kernel has per instruction set, and the form in which activations meet the weights.
#pragma once

#include <cmath>

#include "tiles.h"

namespace ernie {

#if defined(__x86_64__) && __GNUC__ >= 11  // older compilers do not know it
#define ERNIE_HAS_AVX_VNNI
#endif

// The instruction sets that the CPU kernels have code for, and whether this processor and this library have them.
enum class CpuKernel { kPortable, kAvx2, kAvxVnni, kAvx512Vnni, kNeonDot };
constexpr CpuKernel kBestFirst[] = {CpuKernel::kAvx512Vnni, CpuKernel::kAvxVnni, CpuKernel::kAvx2, CpuKernel::kNeonDot, CpuKernel::kPortable};
bool isSupported(CpuKernel kernel);
CpuKernel bestCpuKernel();

// 32 activations as int16 with one scale: x[c] = scale · values[position of c], error at most scale / 2, scale = max|x| / 32767.
// Positions in each group of 4 columns are 0 2 1 3: a 32-bit load gives columns (0, 2) or (1, 3), which is how the even and odd
// bytes of a weight word pair up after one mask or shift. On instruction sets that sum products of four bytes, each value is stored as two int8
// digits instead, value = 256 · high + low, with columns in order and scale = max|x| / 32639.
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

constexpr int kKeyBlock = 64;         // keys that attention meets at a time
constexpr int kDotRows = 12;          // rows and columns of a product of integers in pairs
constexpr int kDotColumns = 16;
constexpr int kProbabilityBits = 13;  // of a probability as an integer: the largest of a block is 2^13

// Rounds numbers up to the largest magnitude to integers up to the limit; 0 where that is not finite or below 2^-100, where it would overflow.
static inline float inverseOf(float largest, float limit) { return largest > 0x1p-100f && largest < INFINITY ? limit / largest : 0; }

struct CpuLanes {
    // out[n][16] = tile of 16 rows · each of n ≤ kTokenGroup activation rows of `blocks` blocks.
    void (*dot4)(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out);
    void (*dot8)(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out);
    void (*quantize)(const float* x, int blocks, int middle, ActivationBlock* out);
    // One block of silu(gate) * up; gate and up [32].
    void (*swiglu)(const float* gate, const float* up, float* h);
    float (*dotFloat)(const float* a, const float* b, int count);  // count is a multiple of 32
    void (*addScaled)(float* y, const float* x, float scale);      // y[16] += scale · x[16]

    // Attention in integers (ops/vision_attention). Rows of a lie aStride apart, those of out outStride:
    // out[r][c] = Σ over pairs p of a[r][2p] · b[p][c][0] + a[r][2p + 1] · b[p][c][1]; 12 rows, 16 columns, b [pairs, 16, 2]
    void (*dotPairs)(const int16_t* a, size_t aStride, const int16_t* b, int pairs, int32_t* out, size_t outStride);
    // x [2 · half] rotated: channels i and i + half are a pair. Returns the largest magnitude; NaN or Inf if there is one.
    float (*rotate)(const float* x, const float* cosines, const float* sines, int half, float* rotated);
    // codes [half, 2]: x · inverse, channels i and i + half side by side.
    void (*roundRow)(const float* x, float inverse, int half, int16_t* codes);
    // codes [32, 16, 2]: of x [64, 16], rows stride apart, rows 2i and 2i + 1; scales [16]: what one is worth, NaN, with codes 0, unless the column is finite.
    void (*roundColumns)(const float* x, size_t stride, float limit, int16_t* codes, float* scales);
    // dots, of magnitudes below 2^30, of 12 queries and 64 keys; one of a query's is worth its unit: largest = max dots · unit, probabilities 2^(dots · unit − largest) as
    // integers of 13 bits, totals their sum in floats over the keys that are present (1 or 0).
    void (*softmaxBlock)(const int32_t* dots, const float* units, const float* present, int16_t* probabilities, float* largest, float* totals);
    void (*addScaledInts)(float* y, const int32_t* x, const float* scales, float weight, int count);  // y[i] += weight · scales[i] · x[i]

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
