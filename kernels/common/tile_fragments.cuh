// One step on tensor cores with weights in tiles (tiles.h): 16 weight rows × 32 columns times 8 tokens. Codes become exact small integers in the
// activation type, products are summed in fp32, and the block's fp16 scale is applied to the fp32 sum: nothing is rounded
// before the epilogue.
//
// Lane 4·g + i holds rows 2g and 2g+1, columns 8i…8i+7 of the block. Two mma's share them: number s takes columns
// 8i+4s…8i+4s+3 as its k = 2i, 2i+1, 2i+8, 2i+9, for weights (A, mma row g = row 2g, g+8 = row 2g+1) and tokens (B) alike.
// Example, lane 6 (g 1, i 2), bits 4: bytes 136…139 are row 2, columns 16…23; bytes 140…143 row 3. Its registers a0 of mma
// 0 and 1 are columns 16 17 and 20 21 of row 2; a3 are columns 18 19 and 22 23 of row 3.
#pragma once

#include "tensor_core.cuh"
#include "tiles.h"

namespace ernie {

// Results in a lane's c[0…3]: value r is row fragmentRow of the tile and column fragmentToken of the 8 tokens.
__device__ inline int fragmentRow(int lane, int r) { return 2 * (lane / 4) + r / 2; }
__device__ inline int fragmentToken(int lane, int r) { return 2 * (lane % 4) + r % 2; }

// Where piece `piece` of 16 bytes of a block's codes goes in shared memory, in such pieces. Of 8 bits, the segments of 64 bytes that a warp reads at once then
// lie side by side: no two lanes meet in a bank.
template <int kBits>
__device__ inline int stagedPiece(int piece) {
    return kBits == 8 ? (piece / 8 + piece / 4 % 2 * 4) * 4 + piece % 4 : piece;
}

// Two codes as T, one in each half of the register: q − middle, exactly. `picks`: which bytes of the word, for __byte_perm, whose bytes 4…7 are all kMagic.
template <typename T>
struct Dequantize;

template <>
struct Dequantize<half> {
    // 0x6400 is 1024 and its last bit is worth 1, so 0x6400 | q is 1024 + q.
    static constexpr uint32_t kMagic = 0x64646464;
    __device__ static uint32_t fromNibbles(uint32_t q, uint32_t picks) { return subtract2<half>(__byte_perm(q, kMagic, picks), 0x64086408); }
    __device__ static uint32_t fromBytes(uint32_t q, uint32_t picks) { return subtract2<half>(__byte_perm(q, kMagic, picks), 0x64806480); }
};

template <>
struct Dequantize<__nv_bfloat16> {
    // 0x4300 is 128 and its last bit is worth 1. A byte needs two steps: 128 + its low 7 bits, less 128 or (top bit 0) 256.
    static constexpr uint32_t kMagic = 0x43434343;
    __device__ static uint32_t fromNibbles(uint32_t q, uint32_t picks) { return subtract2<__nv_bfloat16>(__byte_perm(q, kMagic, picks), 0x43084308); }
    __device__ static uint32_t fromBytes(uint32_t q, uint32_t picks) {
        const uint32_t sums = __byte_perm(q, kMagic, picks);
        return subtract2<__nv_bfloat16>(sums & 0xff7fff7f, (sums & 0x00800080) ^ 0x43804380);
    }
};

// A lane's share of one 16×32 block: words of rows 2g and 2g+1, and both rows' scales.
template <int kBits>
struct CodeBlock {
    uint2 words[kBits / 4];  // .x row 2g, .y row 2g+1; of 8 bits columns 8i…8i+3, then 8i+4…8i+7
    uint32_t scales;         // half2

    // From shared memory, codes where stagedPiece puts them.
    __device__ void load(const void* codes, const void* blockScales, int lane) {
        const char* first = static_cast<const char*>(codes) + 64 * (lane % 4) + 8 * (lane / 4);
        for (int h = 0; h < kBits / 4; h++) words[h] = *reinterpret_cast<const uint2*>(first + 256 * h);
        scales = *reinterpret_cast<const uint32_t*>(static_cast<const char*>(blockScales) + 4 * (lane / 4));
    }
};

// The A fragments of the block's two mma's.
template <typename T, int kBits>
struct WeightFragments {
    uint32_t a[2][4];

    __device__ explicit WeightFragments(const CodeBlock<kBits>& block) {
        for (int row = 0; row < 2; row++) {
            constexpr uint32_t kFirstTwo = 0x4140, kLastTwo = 0x4342;
            for (int s = 0; s < 2; s++) {
                const uint2 words = block.words[kBits == 8 ? s : 0];
                const uint32_t w = row ? words.y : words.x;
                if (kBits == 4) {
                    const uint32_t nibbles = w >> 4 * s & 0x0f0f0f0f;
                    a[s][row] = Dequantize<T>::fromNibbles(nibbles, kFirstTwo);
                    a[s][row + 2] = Dequantize<T>::fromNibbles(nibbles, kLastTwo);
                } else {
                    a[s][row] = Dequantize<T>::fromBytes(w, kFirstTwo);
                    a[s][row + 2] = Dequantize<T>::fromBytes(w, kLastTwo);
                }
            }
        }
    }
};

// sum += scale · (block · tokens); `x` is 8 columns of one token: columns 8i…8i+7 of token g.
template <typename T, int kBits>
__device__ inline void multiplyBlock(float (&sum)[4], const WeightFragments<T, kBits>& w, float2 scale, const uint4& x) {
    float block[4] = {0, 0, 0, 0};
    mma16816(block, w.a[0], x.x, x.y, T());
    mma16816(block, w.a[1], x.z, x.w, T());
    sum[0] += scale.x * block[0];
    sum[1] += scale.x * block[1];
    sum[2] += scale.y * block[2];
    sum[3] += scale.y * block[3];
}

__device__ inline float swiglu(float gate, float up) { return gate / (1 + expf(-gate)) * up; }

// Keeps a hidden state inside fp16: its largest finite number instead of Inf. NaN stays.
__device__ inline float clampTo(float value, half) { return value > 65504 ? 65504 : value < -65504 ? -65504 : value; }
__device__ inline float clampTo(float value, __nv_bfloat16) { return value; }

}  // namespace ernie
