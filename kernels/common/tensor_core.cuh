// The PTX instructions we use: mma.sync m16n8k16 with fp32 sums, cp.async (sm_80 and newer), and an atomic addition that orders memory.
//
// Fragments of m16n8k16 in lane 4·g + i (PTX ISA, "Matrix Fragments for mma.m16n8k16"), two 16-bit values a register:
//   A (16 × 16)  a0: row g, k 2i 2i+1   a1: row g+8, same k   a2: row g, k 2i+8 2i+9   a3: row g+8, k 2i+8 2i+9
//   B (16 × 8)   b0: k 2i 2i+1, column g        b1: k 2i+8 2i+9, column g
//   C (16 × 8)   c0 c1: row g, columns 2i 2i+1  c2 c3: row g+8, columns 2i 2i+1
#pragma once

#include <cstdint>

#include "launch.cuh"

#ifndef ERNIE_CUDA_EMULATOR
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace ernie {

__device__ inline void mma16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, half) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline void mma16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __nv_bfloat16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16 bytes from global to shared memory; zeros when not `present` (the address must be valid all the same).
__device__ inline void copyAsync16(void* shared, const void* global, bool present) {
    const uint32_t address = uint32_t(__cvta_generic_to_shared(shared));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(present ? 16 : 0)
                 : "memory");
}

__device__ inline void copyAsyncCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most kPending of this thread's newest groups are still on their way.
template <int kPending>
__device__ inline void copyAsyncWait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Adds one to a counter in global memory and returns what it was. Whoever counts later finds what had been written before, by other threads of the block too if a
// barrier lies in between, and so do, after a barrier, the other threads of its block (PTX ISA, "Memory Consistency Model": .acq_rel).
__device__ inline int countArrival(int* counter) {
    int before;
    asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], 1;" : "=r"(before) : "l"(__cvta_generic_to_global(counter)) : "memory");
    return before;
}

}  // namespace ernie

#endif

namespace ernie {

template <typename To, typename From>
__device__ inline To bitCast(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(static_cast<void*>(&to), &from, sizeof(to));
    return to;
}

// Two 16-bit floats in one register, the first in the low half.
template <typename T>
struct Pair16;

template <>
struct Pair16<half> {
    using Type = half2;
    __device__ static float2 toFloat2(uint32_t bits) { return __half22float2(bitCast<half2>(bits)); }
    __device__ static uint32_t fromFloat2(float low, float high) { return bitCast<uint32_t>(__floats2half2_rn(low, high)); }
    __device__ static half fromFloat(float value) { return __float2half(value); }
};

template <>
struct Pair16<__nv_bfloat16> {
    using Type = __nv_bfloat162;
    __device__ static float2 toFloat2(uint32_t bits) { return __bfloat1622float2(bitCast<__nv_bfloat162>(bits)); }
    __device__ static uint32_t fromFloat2(float low, float high) { return bitCast<uint32_t>(__floats2bfloat162_rn(low, high)); }
    __device__ static __nv_bfloat16 fromFloat(float value) { return __float2bfloat16(value); }
};

// a − b on both halves of a register.
template <typename T>
__device__ inline uint32_t subtract2(uint32_t a, uint32_t b) {
    using Pair = typename Pair16<T>::Type;
    return bitCast<uint32_t>(__hsub2(bitCast<Pair>(a), bitCast<Pair>(b)));
}

}  // namespace ernie
