// CPU kernel for 64-bit ARM with dot products (ARMv8.2, since about 2018): one row per 32-bit lane, a tile in four quarters. sdot sums four
// products of bytes, which is a word of weights with a word of digits, so each activation takes two: exact, as in cpu_avx512.cc.
#if defined(__aarch64__)
#pragma GCC target("arch=armv8.2-a+dotprod")
#pragma GCC optimize("no-schedule-insns")  // GCC would load so much ahead that a third of the loop went to the stack and back

#include <arm_neon.h>

#include <algorithm>

#include "cpu_attention.h"
#include "cpu_loops.h"

namespace ernie {
namespace {

constexpr int kQuarters = 4;
constexpr int kQuarterRows = kTileRows / kQuarters;
constexpr int kPassTokens = 2;  // 16 sums of 4 rows
constexpr int kPrefetchBytes = 2048;
constexpr int kLargestValue = 127 * 256 + 127;

// Digits of the four columns of a word, for every row.
inline int8x16_t broadcastWord(const int8_t* digits) { return vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const int32_t*>(digits))); }

template <int kBits, int kTokens>
inline void dotTile(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, float* out) {
    constexpr int kVectors = kBits;       // 64-byte pieces of codes per block
    constexpr int kWords = 8 / kVectors;  // words of four columns that each piece holds per row
    float32x4_t sums[kTokens][kQuarters];
    for (int t = 0; t < kTokens; t++)
        for (int quarter = 0; quarter < kQuarters; quarter++) sums[t][quarter] = vdupq_n_f32(0);
    for (int b = 0; b < blocks; b++, codes += 64 * kVectors, scales += kTileRows) {
        int32x4_t high[kTokens][kQuarters], low[kTokens][kQuarters];
        for (int t = 0; t < kTokens; t++)
            for (int quarter = 0; quarter < kQuarters; quarter++) {
                high[t][quarter] = vdupq_n_s32(0);
                low[t][quarter] = vdupq_n_s32(kBits == 4 ? rows[t][b].offset : 0);  // codes of 8 bits become signed below
            }
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; v++) {
            __builtin_prefetch(codes + 64 * v + kPrefetchBytes);
            int8x16_t weights[kWords][kQuarters];
#pragma GCC unroll 4
            for (int quarter = 0; quarter < kQuarters; quarter++) {
                const uint8x16_t packed = vld1q_u8(codes + 64 * v + 16 * quarter);
                if constexpr (kBits == 4) {
                    weights[0][quarter] = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
                    weights[1][quarter] = vreinterpretq_s8_u8(vshrq_n_u8(packed, 4));
                } else {
                    weights[0][quarter] = vreinterpretq_s8_u8(veorq_u8(packed, vdupq_n_u8(128)));
                }
            }
#pragma GCC unroll 2
            for (int word = 0; word < kWords; word++) {
#pragma GCC unroll 2
                for (int t = 0; t < kTokens; t++) {
                    const auto& digits = rows[t][b].digits;
                    const int8x16_t highWord = broadcastWord(digits.high + 4 * (v * kWords + word));
                    const int8x16_t lowWord = broadcastWord(digits.low + 4 * (v * kWords + word));
#pragma GCC unroll 4
                    for (int quarter = 0; quarter < kQuarters; quarter++) {
                        high[t][quarter] = vdotq_s32(high[t][quarter], weights[word][quarter], highWord);
                        low[t][quarter] = vdotq_s32(low[t][quarter], weights[word][quarter], lowWord);
                    }
                }
            }
        }
        for (int quarter = 0; quarter < kQuarters; quarter++) {
            const float32x4_t rowScales = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(scales + kQuarterRows * quarter)));
            for (int t = 0; t < kTokens; t++) {
                const int32x4_t dot = vaddq_s32(vshlq_n_s32(high[t][quarter], 8), low[t][quarter]);
                sums[t][quarter] = vfmaq_f32(sums[t][quarter], vcvtq_f32_s32(dot), vmulq_n_f32(rowScales, rows[t][b].scale));
            }
        }
    }
    for (int t = 0; t < kTokens; t++)
        for (int quarter = 0; quarter < kQuarters; quarter++) vst1q_f32(out + kTileRows * t + kQuarterRows * quarter, sums[t][quarter]);
}

template <int kBits>
void dot(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out) {
    for (int t = 0; t < n; t += kPassTokens, rows += kPassTokens, out += kTileRows * kPassTokens) {
        if (n - t == 1) dotTile<kBits, 1>(codes, scales, blocks, rows, out);
        else dotTile<kBits, kPassTokens>(codes, scales, blocks, rows, out);
    }
}

void quantizeToDigits(const float* x, int blocks, int middle, ActivationBlock* out) {
    quantizeBlocks<kLargestValue>(x, blocks, middle, out);
    for (int b = 0; b < blocks; b++) {
        int16_t values[32];
        std::copy(out[b].values, out[b].values + 32, values);
        for (int i = 0; i < 32; i++) {
            const int value = values[(i & ~3) + ((i & 1) << 1) + ((i & 2) >> 1)];
            const int high = (value + 128) >> 8;
            out[b].digits.high[i] = int8_t(high);
            out[b].digits.low[i] = int8_t(value - 256 * high);
        }
    }
}

}  // namespace

extern const CpuLanes neonDotLanes;
const CpuLanes neonDotLanes = {dot<4>, dot<8>, quantizeToDigits, swigluBlock, dotFloats, addScaledRow, dotPairsInColumns, rotateRow, roundRow, roundValueColumns, softmaxOfBlock, addScaledInts};

}  // namespace ernie

#endif
