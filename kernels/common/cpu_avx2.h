// The CPU kernel in vectors of 256 bits: one row per 32-bit lane, a tile in two halves of 8 rows that share each broadcast activation. Included
// once per instruction set, after its target pragma, kHasFusedSums (adding products takes one instruction, which waits for the sum before it)
// and addProducts (sum + a · b in pairs, exact).
#pragma once

#include "cpu_attention.h"
#include "cpu_loops.h"

namespace ernie {
namespace {

constexpr int kHalfRows = 8;
constexpr int kPassTokens = 4;  // 8 sums of 8 rows, 2 pieces of weights, 2 pairs of columns, mask, activation: all 16 registers
constexpr int kPrefetchBytes = 2048;

inline __m256i broadcastPair(const int16_t* pair) { return _mm256_set1_epi32(*reinterpret_cast<const int32_t*>(pair)); }

// Keeps a value in its register: GCC would load codes and activations again for every use, and would add up products as a tree, with
// dozens of them on the stack.
inline void pin(__m256i& value) { asm("" : "+x"(value)); }

// Pair p of the columns that the words of `packed` hold, in the order of ActivationBlock.
template <int kBits>
inline __m256i unpackPair(__m256i packed, int p) {
    const __m256i mask = _mm256_set1_epi16(kBits == 4 ? 0x0f : 0xff);
    if (kBits == 8) return p == 0 ? _mm256_and_si256(packed, mask) : _mm256_srli_epi16(packed, 8);
    switch (p) {
        case 0: return _mm256_and_si256(packed, mask);
        case 1: return _mm256_and_si256(_mm256_srli_epi16(packed, 8), mask);
        case 2: return _mm256_and_si256(_mm256_srli_epi16(packed, 4), mask);
        default: return _mm256_srli_epi16(packed, 12);
    }
}

template <int kBits, int kTokens>
inline void dotTile(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, float* out) {
    // Few tokens would wait for their own sums, so they get several chains.
    constexpr int kChains = kHasFusedSums && kTokens <= 2 ? 4 / kTokens : 1;
    constexpr int kVectors = kBits;        // 64-byte pieces of codes per block
    constexpr int kPairs = 16 / kVectors;  // column pairs that each piece holds per row
    const ActivationBlock* x[kTokens];
    __m256 sums[kTokens][2];
    for (int t = 0; t < kTokens; t++) {
        x[t] = rows[t];
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    }
    for (int b = 0; b < blocks; b++, codes += 64 * kVectors, scales += kTileRows) {
        __m256i dots[kTokens][2][kChains];
        for (int t = 0; t < kTokens; t++)
            for (int half = 0; half < 2; half++)
                for (int chain = 0; chain < kChains; chain++) dots[t][half][chain] = _mm256_set1_epi32(chain == 0 ? x[t]->offset : 0);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v++) {
            _mm_prefetch(reinterpret_cast<const char*>(codes + 64 * v + kPrefetchBytes), _MM_HINT_T0);
            __m256i packed[2];
            for (int half = 0; half < 2; half++) {
                packed[half] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * v + 32 * half));
                pin(packed[half]);
            }
#pragma GCC unroll 4
            for (int p = 0; p < kPairs; p++) {
                const __m256i weights[2] = {unpackPair<kBits>(packed[0], p), unpackPair<kBits>(packed[1], p)};
#pragma GCC unroll 4
                for (int t = 0; t < kTokens; t++) {
                    __m256i pair = broadcastPair(x[t]->values + 2 * (v * kPairs + p));
                    pin(pair);
#pragma GCC unroll 2
                    for (int half = 0; half < 2; half++) {
                        __m256i& sum = dots[t][half][(v * kPairs + p) % kChains];
                        sum = addProducts(sum, weights[half], pair);
                        pin(sum);
                    }
                }
            }
        }
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const __m256 rowScales = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales + kHalfRows * half)));
            for (int t = 0; t < kTokens; t++) {
                __m256i sum = dots[t][half][0];
                for (int chain = 1; chain < kChains; chain++) sum = _mm256_add_epi32(sum, dots[t][half][chain]);
                const __m256 scale = _mm256_mul_ps(rowScales, _mm256_set1_ps(x[t]->scale));
                sums[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, sums[t][half]);
            }
        }
        for (int t = 0; t < kTokens; t++) x[t]++;
    }
    for (int t = 0; t < kTokens; t++)
        for (int half = 0; half < 2; half++) _mm256_storeu_ps(out + kTileRows * t + kHalfRows * half, sums[t][half]);
}

template <int kBits>
void dot(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out) {
    for (int t = 0; t < n; t += kPassTokens, rows += kPassTokens, out += kTileRows * kPassTokens) {
        switch (n - t) {
            case 1: dotTile<kBits, 1>(codes, scales, blocks, rows, out); break;
            case 2: dotTile<kBits, 2>(codes, scales, blocks, rows, out); break;
            case 3: dotTile<kBits, 3>(codes, scales, blocks, rows, out); break;
            default: dotTile<kBits, kPassTokens>(codes, scales, blocks, rows, out);
        }
    }
}

// 6 rows at a time: 12 sums, 2 pieces of b, a pair of a.
void dotPairs(const int16_t* a, size_t aStride, const int16_t* b, int pairs, int32_t* out, size_t outStride) {
    constexpr int kRows = 6;
    for (int first = 0; first < kDotRows; first += kRows, a += kRows * aStride, out += kRows * outStride) {
        __m256i sums[kRows][2];
#pragma GCC unroll 6
        for (int r = 0; r < kRows; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
        const int16_t* columns = b;
        for (int p = 0; p < pairs; p++, columns += 2 * kDotColumns) {
            __m256i pieces[2];
#pragma GCC unroll 2
            for (int half = 0; half < 2; half++) {
                pieces[half] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns + kDotColumns * half));
                pin(pieces[half]);
            }
#pragma GCC unroll 6
            for (int r = 0; r < kRows; r++) {
                __m256i pair = broadcastPair(a + r * aStride + 2 * p);
                pin(pair);
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    sums[r][half] = addProducts(sums[r][half], pieces[half], pair);
                    pin(sums[r][half]);
                }
            }
        }
#pragma GCC unroll 6
        for (int r = 0; r < kRows; r++)
#pragma GCC unroll 2
            for (int half = 0; half < 2; half++) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + r * outStride + kHalfRows * half), sums[r][half]);
    }
}

constexpr CpuLanes kLanesOf256Bits = {dot<4>, dot<8>, quantizeBlocks, swigluBlock, dotFloats, addScaledRow, dotPairs, rotateRow, roundRow, roundValueColumns, softmaxOfBlock, addScaledInts};

}  // namespace
}  // namespace ernie
