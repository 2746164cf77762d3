// CPU kernel: round the activations, gate and up with SwiGLU, down. Tasks write disjoint memory.

#include <algorithm>
#include <vector>

#include "../../common/cpu_gated.h"
#include "../../common/cpu_rows.h"
#include "../../common/parallel.h"
#include "gated_mlp.h"

namespace ernie {
namespace {

constexpr int kTokensPerPass = 1024;  // bounds scratch memory: 13 MB at 2560 and 3072 columns
constexpr int kDownTilesPerTask = 2;

struct Scratch {
    std::vector<ActivationBlock> x, h;
};

// A token group's rows of `blocks` activation blocks.
template <typename Block>
int rowsOf(Block* all, int blocks, int first, int tokens, Block** rows) {
    const int n = std::min(kTokenGroup, tokens - first);
    for (int i = 0; i < n; i++) rows[i] = all + size_t(first + i) * blocks;
    return n;
}

template <typename T>
void runPass(const GatedMlp& a, const ParallelFor& parallelFor, const CpuLanes& lanes, Scratch& scratch) {
    const size_t hidden = a.down.rows;
    T* y = static_cast<T*>(a.y);
    const int xBlocks = a.gateUp.columns / kBlockColumns, hBlocks = a.down.columns / kBlockColumns;
    ActivationBlock* x = atLeast(scratch.x, size_t(a.tokens) * xBlocks);
    ActivationBlock* h = atLeast(scratch.h, size_t(a.tokens) * hBlocks);
    const size_t groups = (a.tokens + kTokenGroup - 1) / kTokenGroup;

    forEach(parallelFor, a.tokens, a.tokens * hidden * sizeof(T), [&](size_t t) {
        lanes.quantize(floatsOf(static_cast<const T*>(a.x) + t * hidden, hidden), xBlocks, a.gateUp.middle(), x + t * xBlocks);
    });
    forEach(parallelFor, hBlocks, a.gateUp.bytes() * groups, [&](size_t block) {
        for (int first = 0; first < a.tokens; first += kTokenGroup) {
            const ActivationBlock* xRows[kTokenGroup];
            ActivationBlock* hRows[kTokenGroup];
            rowsOf<const ActivationBlock>(x, xBlocks, first, a.tokens, xRows);
            const int n = rowsOf(h + block, hBlocks, first, a.tokens, hRows);
            gatedBlock(lanes, a.gateUp, 0, int(block), xRows, n, hRows);
        }
    });
    const size_t tiles = hidden / kTileRows;
    forEach(parallelFor, (tiles + kDownTilesPerTask - 1) / kDownTilesPerTask, a.down.bytes() * groups, [&](size_t task) {
        const size_t firstTile = task * kDownTilesPerTask, endTile = std::min(firstTile + kDownTilesPerTask, tiles);
        for (int first = 0; first < a.tokens; first += kTokenGroup) {
            const ActivationBlock* rows[kTokenGroup];
            const int n = rowsOf<const ActivationBlock>(h, hBlocks, first, a.tokens, rows);
            for (size_t tile = firstTile; tile < endTile; tile++) {
                float out[kTokenGroup][kTileRows];
                lanes.dotTile(a.down, tile, rows, n, out[0]);
                for (int i = 0; i < n; i++) std::copy(out[i], out[i] + kTileRows, y + (first + i) * hidden + tile * kTileRows);
            }
        }
    });
}

}  // namespace

void gatedMlpCpu(const GatedMlp& args, ParallelFor parallelFor, CpuKernel kernel) {
    thread_local Scratch scratch;
    withElementType(args.type, [&](auto element) {
        using T = decltype(element);
        for (int first = 0; first < args.tokens; first += kTokensPerPass) {
            const size_t offset = size_t(first) * args.down.rows;
            GatedMlp part = args;
            part.tokens = std::min(kTokensPerPass, args.tokens - first);
            part.x = static_cast<const T*>(args.x) + offset;
            part.y = static_cast<T*>(args.y) + offset;
            runPass<T>(part, parallelFor, lanesOf(kernel), scratch);
        }
    });
}

}  // namespace ernie
