// The names of CUDA's headers that our kernels use, for cuda_emulator.h: so g++ alone compiles them. Vectors are as aligned as
// a GPU wants them, which lets the undefined-behaviour sanitizer report a load that would fault there.
#pragma once

#include <cstdint>

#include "half.h"

#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one at a time

struct CUstream_st;
using cudaStream_t = CUstream_st*;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

struct __half_raw {
    uint16_t x;
};
struct half {
    uint16_t bits;
    half() = default;
    half(__half_raw raw) : bits(raw.x) {}
};
struct __nv_bfloat16 {
    uint16_t bits;
};
struct alignas(4) half2 {
    half x, y;
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};

inline float __half2float(half value) { return ernie::floatFromHalf(value.bits); }
inline float __bfloat162float(__nv_bfloat16 value) { return ernie::floatFromBfloat16(value.bits); }
inline half __float2half(float value) { return __half_raw{ernie::halfFromFloat(value)}; }
inline __nv_bfloat16 __float2bfloat16(float value) { return {ernie::bfloat16FromFloat(value)}; }

inline float2 __half22float2(half2 pair) { return {__half2float(pair.x), __half2float(pair.y)}; }
inline float2 __bfloat1622float2(__nv_bfloat162 pair) { return {__bfloat162float(pair.x), __bfloat162float(pair.y)}; }
inline half2 __floats2half2_rn(float x, float y) { return {__float2half(x), __float2half(y)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__float2bfloat16(x), __float2bfloat16(y)}; }

// The exact difference of two 16-bit floats fits fp32 wherever our kernels subtract, so it is rounded once.
inline half2 __hsub2(half2 a, half2 b) {
    return __floats2half2_rn(__half2float(a.x) - __half2float(b.x), __half2float(a.y) - __half2float(b.y));
}
inline __nv_bfloat162 __hsub2(__nv_bfloat162 a, __nv_bfloat162 b) {
    return __floats2bfloat162_rn(__bfloat162float(a.x) - __bfloat162float(b.x), __bfloat162float(a.y) - __bfloat162float(b.y));
}
