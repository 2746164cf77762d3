// CPU kernel for AVX2.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")

#include <immintrin.h>

namespace ernie {
namespace {

constexpr bool kHasFusedSums = false;

inline __m256i addProducts(__m256i sum, __m256i a, __m256i b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

}  // namespace
}  // namespace ernie

#include "cpu_avx2.h"

namespace ernie {

extern const CpuLanes avx2Lanes;
const CpuLanes avx2Lanes = kLanesOf256Bits;

}  // namespace ernie

#endif
