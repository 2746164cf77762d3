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

// Where lane's codes of a block start: `half` picks the second 8 bytes, which only 8 bits have.
template <int kBits>
__device__ inline int laneCodeByte(int lane, int half) {
    const int g = lane / 4, i = lane % 4;
    return kBits == 4 ? 64 * i + 8 * g : 64 * (2 * i + half) + 8 * g;
}

// Two codes, one in each half of the register, as T: q − middle, exactly.
template <typename T>
struct Dequantize;

template <>
struct Dequantize<half> {
    // 0x6400 is 1024 and its last bit is worth 1, so 0x6400 | q is 1024 + q.
    __device__ static uint32_t fromNibbles(uint32_t q) { return subtract2<half>(q | 0x64006400, 0x64086408); }
    __device__ static uint32_t fromBytes(uint32_t q) { return subtract2<half>(q | 0x64006400, 0x64806480); }
};

template <>
struct Dequantize<__nv_bfloat16> {
    // 0x4300 is 128 and its last bit is worth 1. A byte needs two steps: 128 + its low 7 bits, less 128 or (top bit 0) 256.
    __device__ static uint32_t fromNibbles(uint32_t q) {
        return subtract2<__nv_bfloat16>(q | 0x43004300, 0x43084308);
    }
    __device__ static uint32_t fromBytes(uint32_t q) {
        return subtract2<__nv_bfloat16>((q & 0x007f007f) | 0x43004300, (~q & 0x00800080) | 0x43004300);
    }
};

// A lane's share of one 16×32 block as stored: words of rows 2g and 2g+1, and both rows' scales.
template <int kBits>
struct CodeBlock {
    uint2 words[kBits / 4];  // .x row 2g, .y row 2g+1
    uint32_t scales;         // half2

    __device__ void load(const uint8_t* codes, const uint16_t* blockScales, int lane) {
        for (int h = 0; h < kBits / 4; h++)
            words[h] = *reinterpret_cast<const uint2*>(codes + laneCodeByte<kBits>(lane, h));
        scales = *reinterpret_cast<const uint32_t*>(blockScales + 2 * (lane / 4));
    }
};

// The A fragments of the block's two mma's.
template <typename T, int kBits>
struct WeightFragments {
    uint32_t a[2][4];

    __device__ explicit WeightFragments(const CodeBlock<kBits>& block) {
        for (int row = 0; row < 2; row++) {
            if (kBits == 4) {
                // Bytes 0 2 1 3, so that one mask picks neighbouring columns.
                const uint32_t w = __byte_perm(row ? block.words[0].y : block.words[0].x, 0, 0x3120);
                for (int s = 0; s < 2; s++) {
                    a[s][row] = Dequantize<T>::fromNibbles((w >> 4 * s) & 0x000f000f);
                    a[s][row + 2] = Dequantize<T>::fromNibbles((w >> (4 * s + 8)) & 0x000f000f);
                }
            } else {
                for (int s = 0; s < 2; s++) {
                    const uint2 words = block.words[s * (kBits / 4 - 1)];
                    const uint32_t w = row ? words.y : words.x;
                    a[s][row] = Dequantize<T>::fromBytes(__byte_perm(w, 0, 0x4140));
                    a[s][row + 2] = Dequantize<T>::fromBytes(__byte_perm(w, 0, 0x4342));
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
