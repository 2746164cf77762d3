// Experts for few tokens: every needed expert's weights are read once (common/tile_stream.cuh).

#include "../../common/tile_stream.cuh"
#include "modality_moe_tile.cuh"

namespace ernie {
namespace {

// Four warps a block: at T = 1 the 576 gateUp blocks of 28B (96 tile pairs × 6 experts) are on an H200 or A100 all at once.
constexpr int kWarps = 4;

// Which pairs share `leader`'s expert: bit `lane` of masks[r] is pair 32r + lane. Returns how many; 0 when a lower pair leads them. One warp; all
// ids are on their way at once.
template <int kRounds>
__device__ inline int gatherPairs(const int* pairExpert, int pairs, int leader, int expert, int lane, unsigned (&masks)[kRounds]) {
    int ids[kRounds], count = 0;
#pragma unroll
    for (int r = 0; r < kRounds; r++) ids[r] = r * kWarpSize + lane < pairs ? pairExpert[r * kWarpSize + lane] : -1;
    bool leads = true;
#pragma unroll
    for (int r = 0; r < kRounds; r++) {
        masks[r] = __ballot_sync(kFullWarp, ids[r] == expert);
        if (count == 0 && masks[r] != 0) leads = r * kWarpSize + __ffs(masks[r]) - 1 == leader;
        count += __popc(masks[r]);
    }
    return leads ? count : 0;
}

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

// y's 32 rows of each of these tokens whose last partial result this block has brought, k ascending. `isLast` is shared memory. The
// fences order a block's results before its count, and other blocks' results after theirs (CUDA C++ Programming Guide, "Memory Fence Functions").
template <typename T, typename TokenOf>
__device__ inline void combineArrived(const ModalityMoe& a, const MoeWorkspace& w, int tilePair, TokenOf tokenOf, int count, bool* isLast) {
    const int sharedParts = w.sharedWidth > 0 ? kSharedParts : 0;
    __threadfence();
    __syncthreads();
    if (int(threadIdx.x) < count) {
        const size_t counter = size_t(tokenOf(threadIdx.x)) * (a.hidden / kPairRows) + tilePair;
        isLast[threadIdx.x] = atomicAdd(&w.arrived[counter], 1) == a.topK + sharedParts - 1;
        __threadfence();
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
template <Phase kPhase>
__host__ __device__ inline int sharedBlockRows(const MoeWorkspace& w, int gridWidth) {
    if (w.sharedWidth == 0) return 0;
    return kPhase == Phase::kDown ? kSharedParts : (w.sharedWidth / kTileRows + gridWidth - 1) / gridWidth;
}

// One block per (16 or 32 output rows: a tile pair) × (expert, found as the first pair that chose it; the other pairs'
// blocks leave at once), and for the shared experts, whose members are all tokens. Bound by weight bytes. The sums of its warps meet in shared memory in fixed order.
template <typename T, int kBits, int kTokenTiles, Phase kPhase>
__global__ void __launch_bounds__(kWarps* kWarpSize) decodeKernel(ModalityMoe a, MoeWorkspace w) {
    constexpr int kPairRounds = 8 * kTokenTiles * kMaxTopK / kWarpSize;
    constexpr size_t kRingBytes = TileStream<4, 2, kWarps>::kRingBytes;  // those of 8 bits have fewer scales
    __shared__ uint4 rings[kWarps][kRingBytes / sizeof(uint4)];
    __shared__ int members[8 * kTokenTiles];  // pairs
    __shared__ bool isLast[8 * kTokenTiles];
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const int sharedRows = sharedBlockRows<kPhase>(w, gridDim.x), leader = int(blockIdx.y) - sharedRows;
    const bool isShared = leader < 0, isSharedGateUp = isShared && kPhase == Phase::kGateUp;
    const int tilePair = isSharedGateUp ? blockIdx.y * gridDim.x + blockIdx.x : blockIdx.x;
    const int part = isShared && kPhase == Phase::kDown ? blockIdx.y : 0;
    float sum[2][kTokenTiles][4] = {};
    const T* x[kTokenTiles];  // columns 8i… of this lane's token in every tile of 8
    int memberCount = a.tokens;
    if (isShared) {
        const ExpertMatrix matrix = sharedMatrix<kPhase>(a);
        if (2 * tilePair >= matrix.tiles) return;
        const int parts = kPhase == Phase::kDown ? kSharedParts : 1, end = (part + 1) * matrix.blocks / parts;
        TileStream<8, 2, kWarps> stream = streamOf<8>(rings[warp], matrix, tilePair, part * matrix.blocks / parts, end, warp, lane);
        const T* rows = static_cast<const T*>(kPhase == Phase::kGateUp ? a.x : w.sharedHidden);
        const int width = kPhase == Phase::kGateUp ? a.hidden : w.sharedWidth;
        for (int j = 0; j < kTokenTiles; j++) {
            const int member = 8 * j + lane / 4;
            x[j] = rows + size_t(member < memberCount ? member : 0) * width + 8 * (lane % 4);
        }
        multiplyStream(sum, stream, x, memberCount);
    } else {
        unsigned masks[kPairRounds];
        const int expert = w.pairExpert[leader];
        memberCount = gatherPairs(w.pairExpert, a.tokens * a.topK, leader, expert, lane, masks);
        const ExpertMatrix matrix = expertMatrix<kPhase>(a, expert);
        if (memberCount == 0 || 2 * tilePair >= matrix.tiles) return;
        TileStream<kBits, 2, kWarps> stream = streamOf<kBits>(rings[warp], matrix, tilePair, 0, matrix.blocks, warp, lane);
        if (warp == 0) listPairs(masks, lane, members);
        __syncthreads();
        for (int j = 0; j < kTokenTiles; j++) {
            const int member = 8 * j + lane / 4;
            x[j] = activationRow<T, kPhase>(a, w, members[member < memberCount ? member : 0]) + 8 * (lane % 4);
        }
        multiplyStream(sum, stream, x, memberCount);
    }
    const auto tokenOf = [&](int member) { return isShared ? member : members[member] / a.topK; };

    // Each warp's sums take the place of its ring, which is empty.
    static_assert(sizeof sum * kWarpSize <= kRingBytes, "fits");
    const auto sumsOf = [&](int from) { return reinterpret_cast<float(*)[kTokenTiles * 4][kWarpSize]>(rings[from]); };
    for (int tile = 0; tile < 2; tile++)
        for (int j = 0; j < kTokenTiles; j++)
            for (int r = 0; r < 4; r++) sumsOf(warp)[tile][4 * j + r][lane] = sum[tile][j][r];
    __syncthreads();
    // Thread → lane `source`, token tile j and column r of the fragment; its two rows are values r and r + 2.
    for (int task = threadIdx.x; task < kTokenTiles * 2 * kWarpSize; task += kWarps * kWarpSize) {
        const int source = task % kWarpSize, j = task / kWarpSize / 2, r = task / kWarpSize % 2;
        const int member = 8 * j + fragmentToken(source, r);
        if (member >= memberCount) continue;
        float2 total[2] = {};
        for (int from = 0; from < kWarps; from++)
            for (int tile = 0; tile < 2; tile++) {
                total[tile].x += sumsOf(from)[tile][4 * j + r][source];
                total[tile].y += sumsOf(from)[tile][4 * j + r + 2][source];
            }
        void* rows = !isShared        ? resultRows<T, kPhase>(a, w, members[member], tilePair)
                     : isSharedGateUp ? static_cast<void*>(static_cast<T*>(w.sharedHidden) + size_t(member) * w.sharedWidth + tilePair * kTileRows)
                                      : partialRows(a, w, size_t(a.tokens) * a.topK + size_t(member) * kSharedParts + part, tilePair);
        storeRows<T, kPhase>(rows, fragmentRow(source, r), total[0], total[1]);
    }
    if (kPhase == Phase::kDown) combineArrived<T>(a, w, tilePair, tokenOf, memberCount, isLast);
}

template <typename T, int kBits, int kTokenTiles, Phase kPhase>
void launchPhase(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    const int width = maxTilePairs(a, w, kPhase);
    const dim3 grid(width, sharedBlockRows<kPhase>(w, width) + a.tokens * a.topK);
    launch(decodeKernel<T, kBits, kTokenTiles, kPhase>, grid, kWarps * kWarpSize, 0, stream, a, w);
}

template <typename T, int kBits, int kTokenTiles>
void launchTiles(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    launchPhase<T, kBits, kTokenTiles, Phase::kGateUp>(a, w, stream);
    launchPhase<T, kBits, kTokenTiles, Phase::kDown>(a, w, stream);
}

template <typename T, int kBits>
void launchBits(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    // An expert has at most one pair of each token, the shared ones have all tokens.
    if (a.tokens <= 8) return launchTiles<T, kBits, 1>(a, w, stream);
    if (a.tokens <= 16) return launchTiles<T, kBits, 2>(a, w, stream);
    static_assert(kMaxDecodeTokens == 32, "four tiles of 8");
    launchTiles<T, kBits, 4>(a, w, stream);
}

template <typename T>
void launchType(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    a.bits == 4 ? launchBits<T, 4>(a, w, stream) : launchBits<T, 8>(a, w, stream);
}

}  // namespace

void launchDecode(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    a.type == ActivationType::kFloat16 ? launchType<half>(a, w, stream) : launchType<__nv_bfloat16>(a, w, stream);
}

}  // namespace ernie
