// silu(z) = z / (1 + exp(−z)) in a form that a compiler vectorizes.
#pragma once

#include "half.h"

namespace ernie {

// exp for |z| ≤ 87: 2^n · a polynomial of degree 6 on [−ln2/2, ln2/2], relative error below 2e-7.
static inline float expNear(float z) {
    const float n = z * 1.44269504f + 12582912.0f;  // 1.5 · 2^23: rounds to an integer in the low bits
    const float whole = n - 12582912.0f;
    const float r = z - whole * 0.693359375f + whole * 2.12194440e-4f;
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    return p * floatFromBits((bitsOfFloat(n) << 23) + 0x3f800000u);
}

static inline float silu(float gate) {
    // −gate within ±87, in integers: comparing floats may trap, which keeps a compiler from vectorizing.
    const uint32_t bits = bitsOfFloat(gate), magnitude = bits & 0x7fffffff, largest = 0x42ae0000;
    const uint32_t clamped = magnitude < largest ? magnitude : largest;
    return gate / (1 + expNear(floatFromBits((~bits & 0x80000000) | clamped)));  // NaN is still in gate
}

}  // namespace ernie
