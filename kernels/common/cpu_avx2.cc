// CPU kernel for AVX2: half a tile at a time, one row per 32-bit lane; pmaddwd is exact, as vpdpwssd is in cpu_avx512.cc.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")

#include <immintrin.h>

#include "cpu_loops.h"

namespace ernie {
namespace {

constexpr int kLaneRows = 8;
constexpr int kPrefetchBytes = 2048;

inline __m256i broadcastPair(const int16_t* pair) { return _mm256_set1_epi32(*reinterpret_cast<const int32_t*>(pair)); }

// Rows 0…7 or 8…15 of the tile: codes and scales point at the first of them.
template <int kBits, int kTokens>
inline void dotHalfTile(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, float* out) {
    constexpr int kVectors = kBits;
    constexpr int kPairs = 16 / kVectors;
    const ActivationBlock* x[kTokens];
    __m256 sums[kTokens];
    for (int t = 0; t < kTokens; t++) {
        x[t] = rows[t];
        sums[t] = _mm256_setzero_ps();
    }
    const __m256i mask = _mm256_set1_epi16(kBits == 4 ? 0x0f : 0xff);
    for (int b = 0; b < blocks; b++, codes += 64 * kVectors, scales += 16) {
        __m256i dots[kTokens];
        for (int t = 0; t < kTokens; t++) dots[t] = _mm256_set1_epi32(x[t]->offset);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v++) {
            _mm_prefetch(reinterpret_cast<const char*>(codes + 64 * v + kPrefetchBytes), _MM_HINT_T0);
            __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 64 * v));
            asm("" : "+x"(packed));  // stays in a register, as in cpu_avx512.cc
            __m256i weights[kPairs];
            if constexpr (kBits == 4) {
                weights[0] = _mm256_and_si256(packed, mask);
                weights[1] = _mm256_and_si256(_mm256_srli_epi16(packed, 8), mask);
                weights[2] = _mm256_and_si256(_mm256_srli_epi16(packed, 4), mask);
                weights[3] = _mm256_srli_epi16(packed, 12);
            } else {
                weights[0] = _mm256_and_si256(packed, mask);
                weights[1] = _mm256_srli_epi16(packed, 8);
            }
#pragma GCC unroll 4
            for (int p = 0; p < kPairs; p++) {
#pragma GCC unroll 4
                for (int t = 0; t < kTokens; t++) {
                    const __m256i pair = broadcastPair(x[t]->values + 2 * (v * kPairs + p));
                    dots[t] = _mm256_add_epi32(dots[t], _mm256_madd_epi16(weights[p], pair));
                }
            }
        }
        const __m256 rowScales = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
        for (int t = 0; t < kTokens; t++) {
            const __m256 scale = _mm256_mul_ps(rowScales, _mm256_set1_ps(x[t]->scale));
            sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[t]), scale, sums[t]);
            x[t]++;
        }
    }
    for (int t = 0; t < kTokens; t++) _mm256_storeu_ps(out + 16 * t, sums[t]);
}

template <int kBits>
void dot(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out) {
    for (int half = 0; half < 2; half++) {
        const uint8_t* halfCodes = codes + 4 * kLaneRows * half;
        const uint16_t* halfScales = scales + kLaneRows * half;
        for (int t = 0; t < n; t += 4) {
            float* halfOut = out + 16 * t + kLaneRows * half;
            switch (n - t) {
                case 1: dotHalfTile<kBits, 1>(halfCodes, halfScales, blocks, rows + t, halfOut); break;
                case 2: dotHalfTile<kBits, 2>(halfCodes, halfScales, blocks, rows + t, halfOut); break;
                case 3: dotHalfTile<kBits, 3>(halfCodes, halfScales, blocks, rows + t, halfOut); break;
                default: dotHalfTile<kBits, 4>(halfCodes, halfScales, blocks, rows + t, halfOut);
            }
        }
    }
}

}  // namespace

extern const CpuLanes avx2Lanes;
const CpuLanes avx2Lanes = {dot<4>, dot<8>, quantizeBlocks, swigluBlock, dotFloats, addScaledRow};

}  // namespace ernie

#endif
