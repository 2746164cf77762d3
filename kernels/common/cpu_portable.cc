// CPU kernel without any particular instruction set: each block is unpacked once and used for all tokens of the group.

#include "cpu_attention.h"
#include "cpu_loops.h"

namespace ernie {
namespace {

// weights[position][row] of one block, positions as in ActivationBlock.
void unpack4(const uint8_t* codes, int16_t (*weights)[16]) {
    for (int chunk = 0; chunk < 4; chunk++)
        for (int r = 0; r < 16; r++)
            for (int j = 0; j < 4; j++) {
                const uint8_t byte = codes[chunk * 64 + 4 * r + j];
                const int position = j == 1 ? 2 : j == 2 ? 1 : j;
                weights[chunk * 8 + position][r] = byte & 15;
                weights[chunk * 8 + 4 + position][r] = byte >> 4;
            }
}

void unpack8(const uint8_t* codes, int16_t (*weights)[16]) {
    for (int chunk = 0; chunk < 8; chunk++)
        for (int r = 0; r < 16; r++)
            for (int j = 0; j < 4; j++) weights[chunk * 4 + (j == 1 ? 2 : j == 2 ? 1 : j)][r] = codes[chunk * 64 + 4 * r + j];
}

template <int kBits>
void dot(const uint8_t* codes, const uint16_t* scales, int blocks, const ActivationBlock* const* rows, int n, float* out) {
    for (int i = 0; i < n * 16; i++) out[i] = 0;
    for (int b = 0; b < blocks; b++, codes += 64 * kBits, scales += 16) {
        int16_t weights[32][16];
        kBits == 4 ? unpack4(codes, weights) : unpack8(codes, weights);
        float rowScales[16];
        for (int r = 0; r < 16; r++) rowScales[r] = floatFromHalf(scales[r]);
        for (int t = 0; t < n; t++) {
            const ActivationBlock& x = rows[t][b];
            int32_t sums[16];
            for (int r = 0; r < 16; r++) sums[r] = x.offset;
            for (int p = 0; p < 32; p++)
                for (int r = 0; r < 16; r++) sums[r] += int32_t(weights[p][r]) * x.values[p];
            for (int r = 0; r < 16; r++) out[t * 16 + r] += float(sums[r]) * (rowScales[r] * x.scale);
        }
    }
}

}  // namespace

extern const CpuLanes portableLanes;
const CpuLanes portableLanes = {dot<4>, dot<8>, quantizeBlocks, swigluBlock, dotFloats, addScaledRow, dotPairsInColumns, rotateRow, roundRow, roundValueColumns, softmaxOfBlock, addScaledInts};

}  // namespace ernie
