// What the MLPs of a CPU have in common: one block of inner columns.
#pragma once

#include <cstring>

#include "cpu_lanes.h"

namespace ernie {

// Inner columns 32·block…32·block+31 of n ≤ kTokenGroup tokens: h[i] = silu(gate · x[i]) * (up · x[i]), rounded. Tiles of gate and up alternate,
// `firstTile` is the first of the expert's.
inline void gatedBlock(const CpuLanes& lanes, const TiledMatrix& gateUp, size_t firstTile, int block, const ActivationBlock* const* x, int n, ActivationBlock* const* h) {
    float out[4][kTokenGroup][kTileRows];  // gate, up, gate, up
    for (int i = 0; i < 4; i++) lanes.dotTile(gateUp, firstTile + 4 * block + i, x, n, out[i][0]);
    for (int i = 0; i < n; i++) {
        float gate[kBlockColumns], up[kBlockColumns], inner[kBlockColumns];
        for (int half = 0; half < 2; half++) {
            std::memcpy(gate + kTileRows * half, out[2 * half][i], sizeof out[0][0]);
            std::memcpy(up + kTileRows * half, out[2 * half + 1][i], sizeof out[0][0]);
        }
        lanes.swiglu(gate, up, inner);
        lanes.quantize(inner, 1, gateUp.middle(), h[i]);
    }
}

}  // namespace ernie
