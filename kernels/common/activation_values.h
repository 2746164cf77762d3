// Activations as doubles, for references and tests.
#pragma once

#include "contract.h"
#include "half.h"

namespace ernie {

inline double load(const void* values, size_t index, ActivationType type) {
    if (type == ActivationType::kFloat32) return static_cast<const float*>(values)[index];
    const uint16_t bits = static_cast<const uint16_t*>(values)[index];
    return type == ActivationType::kFloat16 ? floatFromHalf(bits) : floatFromBfloat16(bits);
}

inline void store(void* values, size_t index, ActivationType type, double value) {
    if (type == ActivationType::kFloat32) static_cast<float*>(values)[index] = float(value);
    if (type == ActivationType::kFloat16) static_cast<uint16_t*>(values)[index] = halfFromFloat(float(value));
    if (type == ActivationType::kBfloat16) static_cast<uint16_t*>(values)[index] = bfloat16FromFloat(float(value));
}

}  // namespace ernie
