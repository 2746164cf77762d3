// Two neighbouring activations in one load or store: float2, half2 or __nv_bfloat162.
#pragma once

#include "contract.h"
#include "launch.cuh"

#ifndef ERNIE_CUDA_EMULATOR
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace ernie {

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(half value) { return __half2float(value); }
__device__ inline float toFloat(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ inline float2 toFloats(float2 pair) { return pair; }
__device__ inline float2 toFloats(half2 pair) { return __half22float2(pair); }
__device__ inline float2 toFloats(__nv_bfloat162 pair) { return __bfloat1622float2(pair); }

__device__ inline void storePair(float2* to, float first, float second) { *to = float2{first, second}; }
__device__ inline void storePair(half2* to, float first, float second) { *to = __floats2half2_rn(first, second); }
__device__ inline void storePair(__nv_bfloat162* to, float first, float second) { *to = __floats2bfloat162_rn(first, second); }

// Calls body with a pair of the type.
template <typename Body>
void withPairType(ActivationType type, Body body) {
    if (type == ActivationType::kFloat32) body(float2{});
    if (type == ActivationType::kFloat16) body(half2{});
    if (type == ActivationType::kBfloat16) body(__nv_bfloat162{});
}

}  // namespace ernie
