// CPU kernel for AVX-512 with VNNI: one row per 32-bit lane, no horizontal sums. A tile is read once per token group; with few
// tokens memory is the bound, with many vpdpwssd (exact: 15 or 255 times int16, 32 products per sum).
#if defined(__x86_64__)

#ifdef ERNIE_AVX512_EMULATOR
#include "avx512_emulator.h"
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#include <immintrin.h>
#endif

#include "cpu_attention.h"
#include "cpu_loops.h"

namespace ernie {
namespace {

constexpr int kPrefetchBytes = 4096;  // of codes; a tile and its successor lie one behind the other, and so do their scales

inline __m512i broadcastPair(const int16_t* pair) { return _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(pair)); }

template <int kBits, int kTokens>
inline void dotTile(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, float* out) {
    // Few tokens would wait for their own sums, so they get several chains.
    constexpr int kChains = kTokens == 1 ? 4 : kTokens <= 4 ? 2 : 1;
    constexpr int kVectors = kBits;       // 64-byte pieces of codes per block
    constexpr int kPairs = 16 / kVectors;  // column pairs that each piece holds per row
    const ActivationBlock* x[kTokens];
    __m512 sums[kTokens];
    for (int t = 0; t < kTokens; t++) {
        x[t] = rows[t];
        sums[t] = _mm512_setzero_ps();
    }
    const __m512i mask = _mm512_set1_epi16(kBits == 4 ? 0x0f : 0xff);
    for (int b = 0; b < blocks; b++, codes += 64 * kVectors, scales += 16) {
        __m512i dots[kTokens][kChains];
        for (int t = 0; t < kTokens; t++) {
            dots[t][0] = _mm512_set1_epi32(x[t]->offset);
            for (int chain = 1; chain < kChains; chain++) dots[t][chain] = _mm512_setzero_si512();
        }
        _mm_prefetch(reinterpret_cast<const char*>(scales + kTileRows * kPrefetchBytes / (64 * kBits)), _MM_HINT_T0);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v++) {
            _mm_prefetch(reinterpret_cast<const char*>(codes + 64 * v + kPrefetchBytes), _MM_HINT_T0);
            __m512i packed = _mm512_loadu_si512(codes + 64 * v);
            asm("" : "+v"(packed));  // stays in a register; GCC would load it again for every use, and loads are the bound
            __m512i weights[kPairs];  // pairs in the order of ActivationBlock
            if constexpr (kBits == 4) {
                weights[0] = _mm512_and_si512(packed, mask);
                weights[1] = _mm512_and_si512(_mm512_srli_epi16(packed, 8), mask);
                weights[2] = _mm512_and_si512(_mm512_srli_epi16(packed, 4), mask);
                weights[3] = _mm512_srli_epi16(packed, 12);
            } else {
                weights[0] = _mm512_and_si512(packed, mask);
                weights[1] = _mm512_srli_epi16(packed, 8);
            }
#pragma GCC unroll 4
            for (int p = 0; p < kPairs; p++) {
#pragma GCC unroll 8
                for (int t = 0; t < kTokens; t++) {
                    __m512i& sum = dots[t][(v * kPairs + p) % kChains];
                    sum = _mm512_dpwssd_epi32(sum, weights[p], broadcastPair(x[t]->values + 2 * (v * kPairs + p)));
                }
            }
        }
        const __m512 rowScales = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales)));
#pragma GCC unroll 8
        for (int t = 0; t < kTokens; t++) {
            __m512i sum = dots[t][0];
            for (int chain = 1; chain < kChains; chain++) sum = _mm512_add_epi32(sum, dots[t][chain]);
            const __m512 scale = _mm512_mul_ps(rowScales, _mm512_set1_ps(x[t]->scale));
            sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, sums[t]);
            x[t]++;
        }
    }
    for (int t = 0; t < kTokens; t++) _mm512_storeu_ps(out + 16 * t, sums[t]);
}

template <int kBits>
void dot(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out) {
    switch (n) {
        case 1: return dotTile<kBits, 1>(codes, scales, blocks, rows, out);
        case 2: return dotTile<kBits, 2>(codes, scales, blocks, rows, out);
        case 3: return dotTile<kBits, 3>(codes, scales, blocks, rows, out);
        case 4: return dotTile<kBits, 4>(codes, scales, blocks, rows, out);
        case 5: return dotTile<kBits, 5>(codes, scales, blocks, rows, out);
        case 6: return dotTile<kBits, 6>(codes, scales, blocks, rows, out);
        case 7: return dotTile<kBits, 7>(codes, scales, blocks, rows, out);
        default: return dotTile<kBits, 8>(codes, scales, blocks, rows, out);
    }
}

void dotPairs(const int16_t* a, size_t aStride, const int16_t* b, int pairs, int32_t* out, size_t outStride) {
    __m512i sums[kDotRows];
#pragma GCC unroll 12
    for (int r = 0; r < kDotRows; r++) sums[r] = _mm512_setzero_si512();
    for (int p = 0; p < pairs; p++) {
        __m512i columns = _mm512_loadu_si512(b + size_t(p) * 2 * kDotColumns);
        asm("" : "+v"(columns));
#pragma GCC unroll 12
        for (int r = 0; r < kDotRows; r++) sums[r] = _mm512_dpwssd_epi32(sums[r], columns, broadcastPair(a + r * aStride + 2 * p));
    }
#pragma GCC unroll 12
    for (int r = 0; r < kDotRows; r++) _mm512_storeu_si512(out + r * outStride, sums[r]);
}

}  // namespace

extern const CpuLanes avx512VnniLanes;
const CpuLanes avx512VnniLanes = {dot<4>, dot<8>, quantizeBlocks, swigluBlock, dotFloats, addScaledRow, dotPairs, rotateRow, roundRow, roundValueColumns, softmaxOfBlock, addScaledInts};

}  // namespace ernie

#endif
