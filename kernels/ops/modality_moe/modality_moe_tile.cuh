// Where both tensor-core paths put what common/tile_fragments.cuh computes.
#pragma once

#include "../../common/tile_fragments.cuh"
#include "modality_moe_cuda.cuh"

namespace ernie {

// Where a tile pair's result for one pair goes: hidden states of type T, or fp32 partial results.
template <typename T, Phase kPhase>
__device__ inline void* resultRows(const ModalityMoe& a, const MoeWorkspace& w, int pair, int tilePair) {
    if (kPhase == Phase::kDown) return partialRows(a, w, pair, tilePair);
    return static_cast<T*>(w.hidden) + size_t(pair) * w.widest + tilePair * kTileRows;
}

// Stores rows `row` and `row + 1` (even) of such a result: first and second are the two tiles' sums.
template <typename T, Phase kPhase>
__device__ inline void storeRows(void* rows, int row, float2 first, float2 second) {
    if (kPhase == Phase::kGateUp) {
        *reinterpret_cast<uint32_t*>(static_cast<T*>(rows) + row) =
            Pair16<T>::fromFloat2(clampTo(swiglu(first.x, second.x), T()), clampTo(swiglu(first.y, second.y), T()));
    } else {
        float* out = static_cast<float*>(rows) + row;
        *reinterpret_cast<float2*>(out) = first;
        *reinterpret_cast<float2*>(out + kTileRows) = second;
    }
}

}  // namespace ernie
