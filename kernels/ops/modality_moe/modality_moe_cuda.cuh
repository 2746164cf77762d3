// What the CUDA files of ModalityMoe share: the workspace, one expert's matrix, and the launchers of each step.
//
//   route     router logits, then per token its topK experts and their weights        modality_moe_route.cu
//   experts   gateUp (SwiGLU in the epilogue) and down, per pair of token and expert: partial[pair]
//               decode   few tokens: weights through a ring of each warp's, the
//                        shared experts in the same launches                          modality_moe_decode.cu
//               grouped  many tokens: pairs sorted by expert, tiles of tokens         modality_moe_grouped.cu
//               float    fp32 activations, plain                                      modality_moe_float.cu
//   combine   y[token] = sum over k of weight · partial, k ascending, so that equal runs give equal bits. In decode the block of
//             down that brings the last partial result does it, else a kernel of its own
//   shared    except in decode: added to y by common/tiled_linear.cuh
//
// Pair p = token · topK + k.
#pragma once

#include "../../common/launch.cuh"
#include "modality_moe.h"

namespace ernie {

// kGateUp: rows come in (gate tile, up tile) pairs and end as silu(gate) · up. kDown: the pair is 32 consecutive rows.
enum class Phase { kGateUp, kDown };

// Rows of down that a pair of tiles covers.
constexpr int kPairRows = 2 * kTileRows;

// In decode, the columns of the shared experts' down matrix are split into this many parts, each with its own blocks and partial results (stored behind those of
// the pairs). At 28B size and T = 1, two parts make 640 blocks, which are all resident at once on an H200; four would make 800.
constexpr int kSharedParts = 2;

struct TokenTile {
    int expert;  // bank · experts + expert
    int first;   // into sortedPairs
    int count;
};

struct MoeWorkspace {
    float* logits;         // [tokens, experts] of each token's own bank
    int* pairExpert;       // [pairs] bank · experts + expert
    float* pairWeight;     // [pairs]
    void* hidden;          // [pairs, widest] of the activation type: silu(gate) · up
    void* sharedHidden;    // [tokens, sharedWidth] of the activation type: the shared experts' silu(gate) · up
    float* partial;        // [pairs, hidden] expert outputs before weighting; decode: then [tokens, kSharedParts, hidden]
    int* arrived;          // [tokens, hidden / kPairRows] how many of a token's partial results are there (decode)
    int* sortedPairs;      // [pairs] by expert, then ascending
    TokenTile* tiles;      // [maxTokenTiles]
    int* tileCount;        // [1]
    int widest;            // row stride of hidden: the larger width
    int sharedWidth;       // 0: no shared experts
};

// Matrix [16 · tiles, 32 · blocks] of one expert.
struct ExpertMatrix {
    const uint8_t* codes;
    const uint16_t* scales;
    int tiles, blocks;
};

template <Phase kPhase>
__host__ __device__ inline ExpertMatrix expertMatrix(const ModalityMoe& a, int bankExpert) {
    const int bank = bankExpert >= a.experts, expert = bankExpert - bank * a.experts;
    const ExpertBank& b = a.banks[bank];
    const bool gateUp = kPhase == Phase::kGateUp;
    const int tiles = (gateUp ? 2 * b.width : a.hidden) / kTileRows, blocks = (gateUp ? a.hidden : b.width) / kBlockColumns;
    const size_t firstBlock = size_t(expert) * tiles * blocks;
    return {(gateUp ? b.gateUp : b.down) + firstBlock * 64 * a.bits,
            (gateUp ? b.gateUpScales : b.downScales) + firstBlock * kTileRows, tiles, blocks};
}

// The shared experts' matrix, of 8 bits or as many as the others.
template <Phase kPhase>
__host__ __device__ inline ExpertMatrix sharedMatrix(const ModalityMoe& a) {
    const TiledMatrix& m = kPhase == Phase::kGateUp ? a.sharedGateUp : a.sharedDown;
    return {m.codes, m.scales, m.rows / kTileRows, m.columns / kBlockColumns};
}

// Where a pair's partial result of a pair of tiles begins.
__host__ __device__ inline float* partialRows(const ModalityMoe& a, const MoeWorkspace& w, size_t pair, int tilePair) {
    return w.partial + pair * a.hidden + tilePair * kPairRows;
}

// The activation row that a pair multiplies with: its token's x, or its own hidden state.
template <typename T, Phase kPhase>
__host__ __device__ inline const T* activationRow(const ModalityMoe& a, const MoeWorkspace& w, int pair) {
    if (kPhase == Phase::kGateUp) return static_cast<const T*>(a.x) + size_t(pair / a.topK) * a.hidden;
    return static_cast<const T*>(w.hidden) + size_t(pair) * w.widest;
}

// The most tiles of `tokensPerTile` that any routing of the pairs can need: each expert's last one may be partly filled.
inline int maxTokenTiles(const ModalityMoe& a, int tokensPerTile) {
    const int pairs = a.tokens * a.topK, usedExperts = pairs < 2 * a.experts ? pairs : 2 * a.experts;
    return pairs / tokensPerTile + usedExperts;
}

// Tile pairs of the widest bank's matrix, which grids cover; blocks beyond a narrower bank's matrix return at once.
inline int maxTilePairs(const ModalityMoe& a, const MoeWorkspace& w, Phase phase) {
    return (phase == Phase::kGateUp ? w.widest : a.hidden / 2) / kTileRows;
}

void launchRoute(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream);
void launchDecode(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream);
void launchGrouped(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream);
void launchFloat(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream);
void launchCombine(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream);

// Up to here the decode path: with 28B's 64 experts and top-6 an expert gets 3 tokens on average, and reading weights is all.
constexpr int kMaxDecodeTokens = 32;
// Up to here grouped tiles of 32 tokens, above of 128: at 256 tokens an expert has 24 on average.
constexpr int kSmallTileTokens = 256;
constexpr int kSmallTile = 32;

}  // namespace ernie
