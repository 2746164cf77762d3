// The parts of attention in integers that a compiler vectorizes by itself. Included once per instruction set, after its target pragma, so everything here is static.
#pragma once

#include <cstring>

#include "cpu_lanes.h"
#include "half.h"

namespace ernie {

// As integers they order like the floats do, NaN above all.
static inline uint32_t bitsOfMagnitude(float x) { return bitsOfFloat(x) & 0x7fffffff; }

static inline uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

static inline int32_t roundToCode(float scaled) { return int32_t(scaled + (scaled < 0 ? -0.5f : 0.5f)); }

// Two codes side by side in memory.
static inline uint32_t pairOf(int32_t first, int32_t second) { return (uint32_t(first) & 0xffff) | uint32_t(second) << 16; }

// Of 16 lanes, halves to halves: a tree of constant shape is a few instructions.
template <typename T, typename Combine>
static inline T combineLanes(T (&lanes)[16], Combine combine) {
    for (int i = 0; i < 8; i++) lanes[i] = combine(lanes[i], lanes[i + 8]);
    for (int i = 0; i < 4; i++) lanes[i] = combine(lanes[i], lanes[i + 4]);
    return combine(combine(lanes[0], lanes[2]), combine(lanes[1], lanes[3]));
}

// For instruction sets without a product of pairs.
static inline void dotPairsInColumns(const int16_t* a, size_t aStride, const int16_t* b, int pairs, int32_t* out, size_t outStride) {
    for (int r = 0; r < kDotRows; r++, a += aStride, out += outStride) {
        int32_t sums[kDotColumns] = {};
        for (int p = 0; p < pairs; p++)
            for (int c = 0; c < kDotColumns; c++)
                sums[c] += int32_t(a[2 * p]) * b[(p * kDotColumns + c) * 2] + int32_t(a[2 * p + 1]) * b[(p * kDotColumns + c) * 2 + 1];
        for (int c = 0; c < kDotColumns; c++) out[c] = sums[c];
    }
}

static float rotateRow(const float* x, const float* cosines, const float* sines, int half, float* rotated) {
    uint32_t largest = 0;
    for (int i = 0; i < half; i++) {
        const float a = x[i] * cosines[i] - x[i + half] * sines[i], b = x[i + half] * cosines[i] + x[i] * sines[i];
        rotated[i] = a;
        rotated[i + half] = b;
        largest = larger(largest, larger(bitsOfMagnitude(a), bitsOfMagnitude(b)));
    }
    return floatFromBits(largest);
}

static void roundRow(const float* x, float inverse, int half, int16_t* codes) {
    uint32_t pairs[64];
    for (int i = 0; i < half; i++) pairs[i] = pairOf(roundToCode(x[i] * inverse), roundToCode(x[i + half] * inverse));
    std::memcpy(codes, pairs, half * sizeof *pairs);
}

static void roundValueColumns(const float* x, size_t stride, float limit, int16_t* codes, float* scales) {
    uint32_t largest[kDotColumns] = {};
    for (int key = 0; key < kKeyBlock; key++)
        for (int c = 0; c < kDotColumns; c++) largest[c] = larger(largest[c], bitsOfMagnitude(x[key * stride + c]));
    float inverse[kDotColumns];
    uint32_t kept[kDotColumns];
    for (int c = 0; c < kDotColumns; c++) {
        inverse[c] = inverseOf(floatFromBits(largest[c]), limit);
        kept[c] = inverse[c] == 0 ? 0 : ~0u;  // Inf · 0 would be NaN
        scales[c] = largest[c] < 0x7f800000 ? floatFromBits(largest[c]) / limit : floatFromBits(0x7fc00000);
    }
    for (int key = 0; key < kKeyBlock; key += 2) {
        uint32_t pairs[kDotColumns];
        for (int c = 0; c < kDotColumns; c++) {
            const float first = floatFromBits(bitsOfFloat(x[key * stride + c]) & kept[c]), second = floatFromBits(bitsOfFloat(x[(key + 1) * stride + c]) & kept[c]);
            pairs[c] = pairOf(roundToCode(first * inverse[c]), roundToCode(second * inverse[c]));
        }
        std::memcpy(codes + key * kDotColumns, pairs, sizeof pairs);
    }
}

static void softmaxOfBlock(const int32_t* dots, const float* units, const float* present, int16_t* probabilities, float* largest, float* totals) {
    constexpr int kLanes = 16;
    constexpr float kToInteger = 12582912.0f;  // 1.5 · 2^23: added, it rounds to an integer, which is in the low bits
    for (int r = 0; r < kDotRows; r++) {
        const int32_t* row = dots + r * kKeyBlock;
        float sums[kLanes] = {};
        int32_t top = row[0];
#pragma GCC unroll 1
        for (int i = 0; i < kKeyBlock; i++) top = row[i] > top ? row[i] : top;
        const float unit = units[r];
        const int32_t lowest = unit > 126 * 0x1p-30f ? int32_t(126 / unit) : 1 << 30;  // 2^−126 is nothing
        for (int first = 0; first < kKeyBlock; first += kLanes)
            for (int i = 0; i < kLanes; i++) {
                const int32_t below = top - row[first + i], kept = below < lowest ? below : lowest;
                const float x = float(kept);
                // 2^(−x · unit) = 2^whole · 2^rest, |rest| ≤ ½, whose power is a polynomial of degree 4 to 4e-6.
                const float whole = kToInteger - x * unit;
                const float rest = (kToInteger - whole) - x * unit;
                float p = 0.009666368f;
                p = p * rest + 0.055921976f;
                p = p * rest + 0.24022349f;
                p = p * rest + 0.69312105f;
                p = p * rest + 1;
                p = floatFromBits(bitsOfFloat(p) + (bitsOfFloat(whole) << 23) + (uint32_t(kProbabilityBits) << 23));
                sums[i] += p * present[first + i];
                probabilities[r * kKeyBlock + first + i] = int16_t(bitsOfFloat(p + kToInteger));
            }
        largest[r] = float(top) * unit;
        totals[r] = combineLanes(sums, [](float a, float b) { return a + b; });
    }
}

static void addScaledInts(float* y, const int32_t* x, const float* scales, float weight, int count) {
    for (int i = 0; i < count; i++) y[i] += float(x[i]) * (scales[i] * weight);
}

}  // namespace ernie
