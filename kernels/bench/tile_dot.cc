// What the CPU's code for each instruction set makes of a tile in cache: GOP/s (a product and a sum are two) of one thread, by weight bits and
// tokens that share a pass. Best of ROUNDS rounds, one line each: tile_dot ROUNDS.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../common/cpu_test.h"

using namespace ernie;

namespace {

constexpr int kColumns = 2560, kTiles = 2;  // 44 or 86 KB

double gigaOpsPerSecond(const CpuLanes& lanes, int bits, int tokens, int rounds) {
    const int blocks = kColumns / kBlockColumns;
    const size_t padding = 8192;  // what prefetching reaches for
    std::vector<uint8_t> codes(size_t(kTiles) * kTileRows * kColumns * bits / 8 + padding, 0x5a);
    std::vector<uint16_t> scales(kTiles * kTileRows * blocks + padding, 0x3c00);
    const TiledMatrix matrix = {codes.data(), scales.data(), kTiles * kTileRows, kColumns, bits};
    std::vector<float> x(kColumns);
    for (int i = 0; i < kColumns; i++) x[i] = float(i % 7) - 3;
    std::vector<ActivationBlock> activations(size_t(kTokenGroup) * blocks);
    const ActivationBlock* rows[kTokenGroup];
    for (int t = 0; t < kTokenGroup; t++) {
        lanes.quantize(x.data(), blocks, matrix.middle(), activations.data() + size_t(t) * blocks);
        rows[t] = activations.data() + size_t(t) * blocks;
    }
    float out[kTokenGroup * kTileRows];
    const int repeats = 400 / tokens;
    double best = 0;
    for (int round = 0; round < rounds; round++) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < repeats; i++)
            for (int tile = 0; tile < kTiles; tile++) lanes.dotTile(matrix, tile, rows, tokens, out);
        const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
        best = std::max(best, 2.0 * repeats * kTiles * kTileRows * kColumns * tokens / ns);
    }
    return best;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const char* names[] = {"portable", "AVX2", "AVX-VNNI", "AVX-512 VNNI", "NEON dot"};
    for (CpuKernel kernel : kernelsHere())
        for (int bits : {4, 8})
            for (int tokens : {1, 2, 4, 8})
                std::printf("%-12s int%d, %d tokens: %.1f\n", names[int(kernel)], bits, tokens, gigaOpsPerSecond(lanesOf(kernel), bits, tokens, atoi(arguments[1])));
}
