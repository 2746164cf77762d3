// Activations as CPU kernels read and write them: a 16-bit float is a float to the code that uses it.
#pragma once

#include "contract.h"
#include "half.h"

namespace ernie {

struct Float16 {
    uint16_t bits;
    operator float() const { return floatFromHalf(bits); }
    Float16& operator=(float value) { return bits = halfFromFloat(value), *this; }
};

struct Bfloat16 {
    uint16_t bits;
    operator float() const { return floatFromBfloat16(bits); }
    Bfloat16& operator=(float value) { return bits = bfloat16FromFloat(value), *this; }
};

// Calls body with a value of the C++ type that `type` stands for.
template <typename Body>
void withElementType(ActivationType type, Body body) {
    if (type == ActivationType::kFloat32) body(float());
    if (type == ActivationType::kFloat16) body(Float16());
    if (type == ActivationType::kBfloat16) body(Bfloat16());
}

}  // namespace ernie
