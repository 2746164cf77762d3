// The AVX-512 instructions of cpu_avx512.cc in plain C++, for tests on a processor without them (define ERNIE_AVX512_EMULATOR). Stricter than a
// processor on purpose: the sanitizer reports a sum that overflows.
#pragma once

#pragma GCC target("avx2,fma,f16c")

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define asm(...)  // it would keep a vector in a register

namespace ernie {

// In this namespace the names hide the compiler's.
union __m512i {
    int32_t dwords[16];
    int16_t words[32];
};

struct __m512 {
    float lanes[16];
};

inline __m512i _mm512_loadu_si512(const void* from) {
    __m512i x;
    std::memcpy(&x, from, sizeof x);
    return x;
}

inline void _mm512_storeu_si512(void* to, __m512i x) { std::memcpy(to, &x, sizeof x); }
inline void _mm512_storeu_ps(void* to, __m512 x) { std::memcpy(to, &x, sizeof x); }

inline __m512i _mm512_set1_epi32(int32_t value) {
    __m512i x;
    std::fill_n(x.dwords, 16, value);
    return x;
}

inline __m512i _mm512_set1_epi16(int16_t value) {
    __m512i x;
    std::fill_n(x.words, 32, value);
    return x;
}

inline __m512 _mm512_set1_ps(float value) {
    __m512 x;
    std::fill_n(x.lanes, 16, value);
    return x;
}

inline __m512i _mm512_setzero_si512() { return _mm512_set1_epi32(0); }
inline __m512 _mm512_setzero_ps() { return _mm512_set1_ps(0); }

inline __m512i _mm512_and_si512(__m512i a, __m512i b) {
    for (int i = 0; i < 16; i++) a.dwords[i] &= b.dwords[i];
    return a;
}

inline __m512i _mm512_add_epi32(__m512i a, __m512i b) {
    for (int i = 0; i < 16; i++) a.dwords[i] += b.dwords[i];
    return a;
}

inline __m512i _mm512_srli_epi16(__m512i x, int bits) {
    for (int16_t& word : x.words) word = int16_t(uint16_t(word) >> bits);
    return x;
}

inline __m512i _mm512_dpwssd_epi32(__m512i sum, __m512i a, __m512i b) {
    for (int i = 0; i < 32; i++) sum.dwords[i / 2] += a.words[i] * b.words[i];
    return sum;
}

inline __m512 _mm512_mul_ps(__m512 a, __m512 b) {
    for (int i = 0; i < 16; i++) a.lanes[i] *= b.lanes[i];
    return a;
}

inline __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    for (int i = 0; i < 16; i++) a.lanes[i] = std::fma(a.lanes[i], b.lanes[i], c.lanes[i]);
    return a;
}

inline __m512 _mm512_cvtepi32_ps(__m512i integers) {
    __m512 x;
    std::copy_n(integers.dwords, 16, x.lanes);
    return x;
}

inline __m512 _mm512_cvtph_ps(__m256i halves) {
    uint16_t bits[16];
    std::memcpy(bits, &halves, sizeof bits);
    __m512 x;
    std::transform(bits, bits + 16, x.lanes, [](uint16_t half) { return _cvtsh_ss(half); });
    return x;
}

}  // namespace ernie
