// Experts for few tokens: every needed expert's weights are read once (common/tile_stream.cuh).

#include <algorithm>

#include "../../common/tile_stream.cuh"
#include "modality_moe_tile.cuh"

namespace ernie {
namespace {

// Four warps a block: at T = 1 the 576 gateUp blocks of the 28B (96 tile pairs × 6 experts) are all resident at once on an H200 or A100.
constexpr int kWarps = 4;

// Rows of blocks (y of the grid) for the routed experts. A step rarely chooses more experts; then a block takes several, one after the other. With one row per pair, two of three
// blocks would find nothing to do at T = 32.
constexpr int kExpertRows = 64;

// The `index`-th (by number) of the experts that occur in `ids`, or -1 if there are fewer. ids: expert of each pair 32r + lane, or -1. Called by a whole warp.
template <int kRounds>
__device__ inline int chosenExpert(const int (&ids)[kRounds], int bankExperts, int index, int lane) {
    int expert = -1;
#pragma unroll
    for (int word = 0; word < 2 * kMaxExperts / kWarpSize; word++) {
        if (word * kWarpSize >= bankExperts) break;
        unsigned mine = 0;
#pragma unroll
        for (int r = 0; r < kRounds; r++) mine |= ids[r] >> 5 == word ? 1u << (ids[r] & 31) : 0;
        const unsigned chosen = __reduce_or_sync(kFullWarp, mine);
        const unsigned found = __ballot_sync(kFullWarp, (chosen >> lane & 1) && __popc(chosen & ((1u << lane) - 1)) == index);
        if (found) expert = word * kWarpSize + __ffs(found) - 1;
        index -= __popc(chosen);
    }
    return expert;
}

// The pairs that chose that expert: bit `lane` of masks[r] is pair 32r + lane.
template <int kRounds>
struct Chosen {
    int expert, count = 0;
    unsigned masks[kRounds];

    __device__ Chosen(const int* pairExpert, int pairs, int bankExperts, int index, int lane) {
        int ids[kRounds];
#pragma unroll
        for (int r = 0; r < kRounds; r++) ids[r] = r * kWarpSize + lane < pairs ? pairExpert[r * kWarpSize + lane] : -1;
        expert = chosenExpert(ids, bankExperts, index, lane);
#pragma unroll
        for (int r = 0; r < kRounds; r++) {
            masks[r] = __ballot_sync(kFullWarp, ids[r] >= 0 && ids[r] == expert);
            count += __popc(masks[r]);
        }
    }
};

// Lists them in ascending order.
template <int kRounds>
__device__ inline void listPairs(const unsigned (&masks)[kRounds], int lane, int* members) {
    int before = 0;
#pragma unroll
    for (int r = 0; r < kRounds; r++) {
        if (masks[r] >> lane & 1) members[before + __popc(masks[r] & ((1u << lane) - 1))] = r * kWarpSize + lane;
        before += __popc(masks[r]);
    }
}

// Computes y's 32 rows for those of these tokens whose last partial result came from this block, k ascending. `isLast` is shared memory. The barriers on both sides of the count
// put the block's results before it and its reads of others' results after it.
template <typename T, typename TokenOf>
__device__ inline void combineArrived(const ModalityMoe& a, const MoeWorkspace& w, int tilePair, TokenOf tokenOf, int count, bool* isLast) {
    const int sharedParts = w.sharedWidth > 0 ? kSharedParts : 0;
    __syncthreads();
    if (int(threadIdx.x) < count) {
        const size_t counter = size_t(tokenOf(threadIdx.x)) * (a.hidden / kPairRows) + tilePair;
        isLast[threadIdx.x] = countArrival(&w.arrived[counter]) == a.topK + sharedParts - 1;
    }
    __syncthreads();
    const int row = threadIdx.x % kPairRows;
    for (int member = threadIdx.x / kPairRows; member < count; member += kWarps * kWarpSize / kPairRows) {
        if (!isLast[member]) continue;
        const size_t token = tokenOf(member);
        float y = 0;
        for (int k = 0; k < a.topK; k++) {
            const size_t pair = token * a.topK + k;
            y = fmaf(w.pairWeight[pair], __ldcg(partialRows(a, w, pair, tilePair) + row), y);
        }
        const size_t firstPart = size_t(a.tokens) * a.topK + token * kSharedParts;
        for (int part = 0; part < sharedParts; part++) y += __ldcg(partialRows(a, w, firstPart + part, tilePair) + row);
        static_cast<T*>(a.y)[token * a.hidden + tilePair * kPairRows + row] = Pair16<T>::fromFloat(y);
    }
}

// One warp's share of two tiles, columns of blocks `first`…`end` − 1.
template <int kBits>
__device__ inline TileStream<kBits, 2, kWarps> streamOf(void* ring, const ExpertMatrix& matrix, int tilePair, int first, int end, int warp, int lane) {
    const size_t position = size_t(2 * tilePair) * matrix.blocks;
    return {ring, matrix.codes + position * 64 * kBits, matrix.scales + position * kTileRows, matrix.blocks, first, end, warp, lane};
}

// Rows of blocks (y of the grid) for the shared experts, before those of the pairs: gateUp may have more tile pairs than the grid is wide.
int sharedBlockRows(const MoeWorkspace& w, Phase phase, int gridWidth) {
    if (w.sharedWidth == 0) return 0;
    return phase == Phase::kDown ? kSharedParts : divideUp(w.sharedWidth / kTileRows, gridWidth);
}

// Shared memory of a block.
template <int kTokenTiles>
struct BlockMemory {
    static constexpr size_t kRingBytes = TileStream<4, 2, kWarps>::kRingBytes;  // those of 8 bits have fewer scales
    uint4 rings[kWarps][kRingBytes / sizeof(uint4)];
    int members[8 * kTokenTiles];  // pairs
    bool isLast[8 * kTokenTiles];

    // Each warp's sums take the place of its ring, which is empty then.
    __device__ auto sumsOf(int warp) { return reinterpret_cast<float(*)[kTokenTiles * 4][kWarpSize]>(rings[warp]); }
};

// Adds the warps' sums, in fixed order, and stores them where rowsOf(member) points.
template <typename T, Phase kPhase, int kTokenTiles, typename RowsOf>
__device__ inline void storeSums(BlockMemory<kTokenTiles>& memory, const float (&sum)[2][kTokenTiles][4], int count, RowsOf rowsOf) {
    static_assert(sizeof sum * kWarpSize <= BlockMemory<kTokenTiles>::kRingBytes, "fits");
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    for (int tile = 0; tile < 2; tile++)
        for (int j = 0; j < kTokenTiles; j++)
            for (int r = 0; r < 4; r++) memory.sumsOf(warp)[tile][4 * j + r][lane] = sum[tile][j][r];
    __syncthreads();
    // Thread → lane `source`, token tile j and column r of the fragment; its two rows are values r and r + 2.
    for (int task = threadIdx.x; task < kTokenTiles * 2 * kWarpSize; task += kWarps * kWarpSize) {
        const int source = task % kWarpSize, j = task / kWarpSize / 2, r = task / kWarpSize % 2;
        const int member = 8 * j + fragmentToken(source, r);
        if (member >= count) continue;
        float2 total[2] = {};
        for (int from = 0; from < kWarps; from++)
            for (int tile = 0; tile < 2; tile++) {
                total[tile].x += memory.sumsOf(from)[tile][4 * j + r][source];
                total[tile].y += memory.sumsOf(from)[tile][4 * j + r + 2][source];
            }
        storeRows<T, kPhase>(rowsOf(member), fragmentRow(source, r), total[0], total[1]);
    }
}

// A tile pair of the shared experts, whose members are all tokens.
template <typename T, int kSharedBits, int kTokenTiles, Phase kPhase>
__device__ inline void computeShared(const ModalityMoe& a, const MoeWorkspace& w, BlockMemory<kTokenTiles>& memory, int tilePair, int part) {
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const ExpertMatrix matrix = sharedMatrix<kPhase>(a);
    if (2 * tilePair >= matrix.tiles) return;
    const int parts = kPhase == Phase::kDown ? kSharedParts : 1, end = (part + 1) * matrix.blocks / parts;
    TileStream<kSharedBits, 2, kWarps> stream = streamOf<kSharedBits>(memory.rings[warp], matrix, tilePair, part * matrix.blocks / parts, end, warp, lane);
    if (kPhase == Phase::kDown) waitForPrevious();  // gate and up need only x, which is there before the first of these kernels
    const T* rows = static_cast<const T*>(kPhase == Phase::kGateUp ? a.x : w.sharedHidden);
    const int width = kPhase == Phase::kGateUp ? a.hidden : w.sharedWidth;
    const T* x[kTokenTiles];
    for (int j = 0; j < kTokenTiles; j++) x[j] = rows + size_t(8 * j + lane / 4 < a.tokens ? 8 * j + lane / 4 : 0) * width + 8 * (lane % 4);
    float sum[2][kTokenTiles][4] = {};
    multiplyStream(sum, stream, x, a.tokens);
    storeSums<T, kPhase>(memory, sum, a.tokens, [&](int token) -> void* {
        if (kPhase == Phase::kGateUp) return static_cast<T*>(w.sharedHidden) + size_t(token) * w.sharedWidth + tilePair * kTileRows;
        return partialRows(a, w, size_t(a.tokens) * a.topK + size_t(token) * kSharedParts + part, tilePair);
    });
    if (kPhase == Phase::kDown) combineArrived<T>(a, w, tilePair, [](int token) { return token; }, a.tokens, memory.isLast);
}

// A tile pair of the `index`-th expert that was chosen. False: there is none.
template <typename T, int kBits, int kTokenTiles, Phase kPhase>
__device__ inline bool computeRouted(const ModalityMoe& a, const MoeWorkspace& w, BlockMemory<kTokenTiles>& memory, int tilePair, int index) {
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const Chosen<8 * kTokenTiles * kMaxTopK / kWarpSize> chosen(w.pairExpert, a.tokens * a.topK, 2 * a.experts, index, lane);
    if (chosen.count == 0) return false;
    const ExpertMatrix matrix = expertMatrix<kPhase>(a, chosen.expert);
    if (2 * tilePair >= matrix.tiles) return true;
    TileStream<kBits, 2, kWarps> stream = streamOf<kBits>(memory.rings[warp], matrix, tilePair, 0, matrix.blocks, warp, lane);
    if (warp == 0) listPairs(chosen.masks, lane, memory.members);
    __syncthreads();
    const T* x[kTokenTiles];
    for (int j = 0; j < kTokenTiles; j++) x[j] = activationRow<T, kPhase>(a, w, memory.members[8 * j + lane / 4 < chosen.count ? 8 * j + lane / 4 : 0]) + 8 * (lane % 4);
    float sum[2][kTokenTiles][4] = {};
    multiplyStream(sum, stream, x, chosen.count);
    storeSums<T, kPhase>(memory, sum, chosen.count, [&](int member) { return resultRows<T, kPhase>(a, w, memory.members[member], tilePair); });
    if (kPhase == Phase::kDown) combineArrived<T>(a, w, tilePair, [&](int member) { return memory.members[member] / a.topK; }, chosen.count, memory.isLast);
    return true;
}

// One block per (16 or 32 output rows: a tile pair) × (every kExpertRows-th of the chosen experts; or the shared ones). Bound by weight bytes.
template <typename T, int kBits, int kSharedBits, int kTokenTiles, Phase kPhase>
__global__ void __launch_bounds__(kWarps* kWarpSize, kTokenTiles == 1 ? 6 : 4) decodeKernel(ModalityMoe a, MoeWorkspace w, int sharedRows) {
    __shared__ BlockMemory<kTokenTiles> memory;
    const int expertRows = gridDim.y - sharedRows;
    int index = int(blockIdx.y) - sharedRows;
    if (index >= 0) waitForPrevious();
    if (kPhase == Phase::kGateUp) letNextStart();  // down. What follows that is not ours.
    if (index < 0) {
        if (kPhase == Phase::kDown) return computeShared<T, kSharedBits, kTokenTiles, kPhase>(a, w, memory, blockIdx.x, blockIdx.y);
        return computeShared<T, kSharedBits, kTokenTiles, kPhase>(a, w, memory, blockIdx.y * gridDim.x + blockIdx.x, 0);
    }
    while (computeRouted<T, kBits, kTokenTiles, kPhase>(a, w, memory, blockIdx.x, index)) {
        index += expertRows;
        if (index >= a.tokens * a.topK) return;
        __syncthreads();  // all have read what the next one overwrites
    }
}

template <typename T, int kBits, int kSharedBits, int kTokenTiles, Phase kPhase>
void launchPhase(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    const int width = maxTilePairs(a, w, kPhase), sharedRows = sharedBlockRows(w, kPhase, width);
    const dim3 grid(width, sharedRows + std::min(a.tokens * a.topK, kExpertRows));
    const auto kernel = decodeKernel<T, kBits, kSharedBits, kTokenTiles, kPhase>;
    a.startsEarly ? launchEarly(kernel, grid, kWarps * kWarpSize, stream, a, w, sharedRows) : launch(kernel, grid, kWarps * kWarpSize, 0, stream, a, w, sharedRows);
}

template <typename T, int kBits, int kSharedBits, int kTokenTiles>
void launchTiles(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    launchPhase<T, kBits, kSharedBits, kTokenTiles, Phase::kGateUp>(a, w, stream);
    launchPhase<T, kBits, kSharedBits, kTokenTiles, Phase::kDown>(a, w, stream);
}

template <typename T, int kBits, int kSharedBits>
void launchBits(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    // An expert has at most one pair of each token, the shared ones have all tokens.
    if (a.tokens <= 8) return launchTiles<T, kBits, kSharedBits, 1>(a, w, stream);
    if (a.tokens <= 16) return launchTiles<T, kBits, kSharedBits, 2>(a, w, stream);
    static_assert(kMaxDecodeTokens == 32, "four tiles of 8");
    launchTiles<T, kBits, kSharedBits, 4>(a, w, stream);
}

template <typename T>
void launchType(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    if (a.bits == 8) return launchBits<T, 8, 8>(a, w, stream);
    a.hasShared() && a.sharedDown.bits == 8 ? launchBits<T, 4, 8>(a, w, stream) : launchBits<T, 4, 4>(a, w, stream);
}

}  // namespace

void launchDecode(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    a.type == ActivationType::kFloat16 ? launchType<half>(a, w, stream) : launchType<__nv_bfloat16>(a, w, stream);
}

}  // namespace ernie
