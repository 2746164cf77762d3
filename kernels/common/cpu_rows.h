// Rows of activations as floats.
#pragma once

#include <vector>

#include "elements.h"
#include "parallel.h"

namespace ernie {

inline const float* floatsOf(const float* row, size_t) { return row; }

// In memory of the calling thread, until its next call.
template <typename T>
const float* floatsOf(const T* row, size_t count) {
    thread_local std::vector<float> floats;
    float* out = atLeast(floats, count);
    for (size_t i = 0; i < count; i++) out[i] = row[i];
    return out;
}

}  // namespace ernie
