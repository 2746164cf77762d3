// Dense products for tests, without a vendor's library: a thread per result.
#pragma once

#include "activation_pair.cuh"
#include "dense_product.h"

namespace ernie {

__device__ inline void storeAs(float* to, float value) { *to = value; }
__device__ inline void storeAs(half* to, float value) { *to = __float2half(value); }
__device__ inline void storeAs(__nv_bfloat16* to, float value) { *to = __float2bfloat16(value); }

template <typename T, typename Y>
__global__ void plainProductKernel(DenseProduct p) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x, token = blockIdx.y;
    if (row >= p.rows) return;
    const T* x = static_cast<const T*>(p.x) + size_t(token) * p.columns;
    const T* weight = static_cast<const T*>(p.weight) + size_t(row) * p.columns;
    Y* y = static_cast<Y*>(p.y) + size_t(token) * p.yStride + row;
    float sum = p.adds ? toFloat(*y) : 0;
    for (int c = 0; c < p.columns; c++) sum = fmaf(toFloat(x[c]), toFloat(weight[c]), sum);
    storeAs(y, sum);
}

inline QueueProduct plainProducts(cudaStream_t stream) {
    return [stream](const DenseProduct& p) {
        const auto queue = [&](auto kernel) { launch(kernel, dim3(divideUp(p.rows, 64), p.tokens), 64, 0, stream, p); };
        if (p.type == ActivationType::kFloat32) return queue(plainProductKernel<float, float>);
        const bool storesFloat = p.yType == ActivationType::kFloat32;
        if (p.type == ActivationType::kFloat16) return storesFloat ? queue(plainProductKernel<half, float>) : queue(plainProductKernel<half, half>);
        storesFloat ? queue(plainProductKernel<__nv_bfloat16, float>) : queue(plainProductKernel<__nv_bfloat16, __nv_bfloat16>);
    };
}

}  // namespace ernie
