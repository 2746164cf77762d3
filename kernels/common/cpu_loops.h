// The parts of CpuLanes that a compiler vectorizes by itself. Included once per instruction set, after its target pragma, so
// everything here is static.
#pragma once

#include "cpu_lanes.h"
#include "half.h"
#include "silu.h"

namespace ernie {

// A block with NaN or Inf gets scale NaN, so that its token's outputs become NaN.
template <int kLargest = 32767>
static void quantizeBlocks(const float* x, int blocks, int middle, ActivationBlock* out) {
    static const float nan = floatFromBits(0x7fc00000);
    for (int b = 0; b < blocks; b++, x += 32, out++) {
        uint32_t largestBits = 0;  // of |x|; as integers they order like floats, NaN above all
        for (int i = 0; i < 32; i++) {
            const uint32_t bits = bitsOfFloat(x[i]) & 0x7fffffff;
            largestBits = bits > largestBits ? bits : largestBits;
        }
        if (largestBits >= 0x7f800000) {
            *out = {{}, nan, 0};
            continue;
        }
        const float largest = floatFromBits(largestBits);
        out->scale = largest * (1.0f / kLargest);
        // Below 2^-100 a reciprocal would overflow; such a block counts as zero.
        const float inverse = largest > 0x1p-100f ? kLargest / largest : 0;
        int32_t rounded[32], sum = 0;
        for (int i = 0; i < 32; i++) {
            const float scaled = x[i] * inverse;
            const int32_t value = int32_t(scaled + (scaled < 0 ? -0.5f : 0.5f));
            rounded[i] = value > kLargest ? kLargest : value < -kLargest ? -kLargest : value;
        }
        for (int i = 0; i < 32; i++) sum += rounded[i];
        for (int i = 0; i < 32; i++) out->values[i] = int16_t(rounded[(i & ~3) + ((i & 1) << 1) + ((i & 2) >> 1)]);
        out->offset = -middle * sum;
    }
}

static void swigluBlock(const float* gate, const float* up, float* h) {
    for (int i = 0; i < 32; i++) h[i] = silu(gate[i]) * up[i];
}

static float dotFloats(const float* a, const float* b, int count) {
    float lanes[32] = {};
    for (int c = 0; c < count; c += 32)
        for (int i = 0; i < 32; i++) lanes[i] += a[c + i] * b[c + i];
    for (int width = 16; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

static void addScaledRow(float* y, const float* x, float scale) {
    for (int i = 0; i < 16; i++) y[i] += scale * x[i];
}

}  // namespace ernie
