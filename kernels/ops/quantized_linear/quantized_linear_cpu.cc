// CPU kernel: round the activations once, then every task takes a few tiles through all tokens.

#include <algorithm>
#include <vector>

#include "../../common/cpu_rows.h"
#include "../../common/parallel.h"
#include "quantized_linear.h"

namespace ernie {
namespace {

constexpr int kTokensPerPass = 1024;  // bounds scratch memory: 6 MB at 2560 columns
constexpr int kTilesPerTask = 2;

// One tile of a token's results, from `row` on.
void rotate(const Rotation& r, size_t token, int row, float* y) {
    const size_t firstAngle = token * (r.headDim / 2);
    int inHead = row % r.headDim;
    for (int i = 0; i < kTileRows && row + i < r.rows; i += 2, inHead += 2) {
        if (inHead == r.headDim) inHead = 0;
        const size_t angle = firstAngle + inHead / 2;
        const float even = y[i], odd = y[i + 1], cosine = r.cosines[angle], sine = r.sines[angle];
        y[i] = even * cosine - odd * sine;
        y[i + 1] = even * sine + odd * cosine;
    }
}

template <typename T>
void runPass(const QuantizedLinear& a, const ParallelFor& parallelFor, const CpuLanes& lanes, std::vector<ActivationBlock>& scratch) {
    const size_t rows = a.weight.rows, columns = a.weight.columns, blocks = columns / kBlockColumns;
    T* y = static_cast<T*>(a.y);
    ActivationBlock* quantized = atLeast(scratch, a.tokens * blocks);
    forEach(parallelFor, a.tokens, a.tokens * columns * sizeof(T), [&](size_t t) {
        lanes.quantize(floatsOf(static_cast<const T*>(a.x) + t * columns, columns), int(blocks), a.weight.middle(), quantized + t * blocks);
    });

    const size_t tiles = rows / kTileRows, groups = (a.tokens + kTokenGroup - 1) / kTokenGroup;
    forEach(parallelFor, (tiles + kTilesPerTask - 1) / kTilesPerTask, a.weight.bytes() * groups, [&](size_t task) {
        const size_t firstTile = task * kTilesPerTask, endTile = std::min(firstTile + kTilesPerTask, tiles);
        for (int first = 0; first < a.tokens; first += kTokenGroup) {
            const int n = std::min(kTokenGroup, a.tokens - first);
            const ActivationBlock* x[kTokenGroup];
            for (int i = 0; i < n; i++) x[i] = quantized + (first + i) * blocks;
            for (size_t tile = firstTile; tile < endTile; tile++) {
                float out[kTokenGroup][kTileRows];
                lanes.dotTile(a.weight, tile, x, n, out[0]);
                for (int i = 0; i < n; i++) {
                    if (a.rotation.cosines) rotate(a.rotation, first + i, int(tile) * kTileRows, out[i]);
                    std::copy(out[i], out[i] + kTileRows, y + (first + i) * rows + tile * kTileRows);
                }
            }
        }
    });
}

}  // namespace

void quantizedLinearCpu(const QuantizedLinear& args, ParallelFor parallelFor, CpuKernel kernel) {
    thread_local std::vector<ActivationBlock> scratch;
    withElementType(args.type, [&](auto element) {
        using T = decltype(element);
        for (int first = 0; first < args.tokens; first += kTokensPerPass) {
            QuantizedLinear part = args;
            part.tokens = std::min(kTokensPerPass, args.tokens - first);
            part.x = static_cast<const T*>(args.x) + size_t(first) * args.weight.columns;
            part.y = static_cast<T*>(args.y) + size_t(first) * args.weight.rows;
            if (args.rotation.cosines) {
                part.rotation.cosines += size_t(first) * args.rotation.headDim / 2;
                part.rotation.sines += size_t(first) * args.rotation.headDim / 2;
            }
            runPass<T>(part, parallelFor, lanesOf(kernel), scratch);
        }
    });
}

}  // namespace ernie
