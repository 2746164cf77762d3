// Where both tensor-core paths put what common/tile_fragments.cuh computes.
#pragma once

#include "../../common/tile_fragments.cuh"
#include "modality_moe_cuda.cuh"

namespace ernie {

// Stores rows `row` and `row + 1` (even) of a tile pair's result for one pair: first and second are the two tiles' sums.
template <typename T, Phase kPhase>
__device__ inline void storeRows(const ModalityMoe& a, const MoeWorkspace& w, int pair, int tilePair, int row, float2 first,
                                 float2 second) {
    if (kPhase == Phase::kGateUp) {
        T* out = static_cast<T*>(w.hidden) + size_t(pair) * w.widest + tilePair * kTileRows + row;
        *reinterpret_cast<uint32_t*>(out) =
            Pair16<T>::fromFloat2(clampTo(swiglu(first.x, second.x), T()), clampTo(swiglu(first.y, second.y), T()));
    } else {
        float* out = partialRows(a, w, pair, tilePair) + row;
        *reinterpret_cast<float2*>(out) = first;
        *reinterpret_cast<float2*>(out + kTileRows) = second;
    }
}

}  // namespace ernie
