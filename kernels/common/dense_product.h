// A plain matrix product on a GPU, which a vendor's library does best: what kernels hand over once they have unpacked weights.
#pragma once

#include <functional>

#include "contract.h"

namespace ernie {

// y = x · weightᵀ, or y += that. Sums are fp32.
struct DenseProduct {
    void* y;             // [tokens, rows] of yType, one row every yStride elements
    const void* x;       // [tokens, columns] of type
    const void* weight;  // [rows, columns] of type
    ActivationType type, yType;
    int tokens, rows, columns, yStride;
    bool adds;
};

// Queues the product on the stream that the kernels use.
using QueueProduct = std::function<void(const DenseProduct&)>;

}  // namespace ernie
