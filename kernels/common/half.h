// Half-precision numbers as raw bits, converted without hardware support. Round to nearest, ties to even.
#pragma once

#include <cstdint>
#include <cstring>

namespace ernie {

static inline float floatFromBits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bitsOfFloat(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float floatFromHalf(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16;
    const uint32_t rest = half & 0x7fff;
    if (rest >= 0x7c00) return floatFromBits(sign | 0x7f800000 | (rest & 0x3ff) << 13);        // Inf, NaN
    if (rest >= 0x400) return floatFromBits(sign | ((rest << 13) + (uint32_t(127 - 15) << 23)));  // normal
    const float magnitude = float(rest) * 0x1p-24f;                                               // subnormal, zero
    return sign ? -magnitude : magnitude;
}

static inline uint16_t halfFromFloat(float value) {
    const uint32_t bits = bitsOfFloat(value);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    const uint32_t rest = bits & 0x7fffffff;
    if (rest > 0x7f800000) return sign | 0x7e00;   // NaN
    if (rest >= 0x477ff000) return sign | 0x7c00;  // rounds to Inf
    if (rest < 0x38800000) {                       // subnormal: adding 0.5 leaves the multiple of 2^-24 in the low bits
        return sign | uint16_t(bitsOfFloat(floatFromBits(rest) + 0.5f) - bitsOfFloat(0.5f));
    }
    return sign | uint16_t((rest + 0xfff + (rest >> 13 & 1) - (uint32_t(127 - 15) << 23)) >> 13);
}

static inline float floatFromBfloat16(uint16_t value) { return floatFromBits(uint32_t(value) << 16); }

static inline uint16_t bfloat16FromFloat(float value) {
    const uint32_t bits = bitsOfFloat(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace ernie
