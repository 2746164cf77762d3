// CPU kernel for AVX2 with AVX-VNNI: client processors that have no AVX-512.
#include "cpu_lanes.h"

#ifdef ERNIE_HAS_AVX_VNNI
#pragma GCC target("avx2,fma,f16c,avxvnni")

#include <immintrin.h>

namespace ernie {
namespace {

constexpr bool kHasFusedSums = true;

inline __m256i addProducts(__m256i sum, __m256i a, __m256i b) {
#ifdef ERNIE_AVX_VNNI_EMULATOR  // for tests on a processor without it
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#else
    return _mm256_dpwssd_avx_epi32(sum, a, b);
#endif
}

}  // namespace
}  // namespace ernie

#include "cpu_avx2.h"

namespace ernie {

extern const CpuLanes avxVnniLanes;
const CpuLanes avxVnniLanes = kLanesOf256Bits;

}  // namespace ernie

#endif
