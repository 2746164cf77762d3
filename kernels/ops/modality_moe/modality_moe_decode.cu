// Experts for few tokens: every needed expert's weights are read once, straight into registers.

#include "modality_moe_tile.cuh"

namespace ernie {
namespace {

// Four warps a block: at T = 1 the 576 gateUp blocks of 28B (96 tile pairs × 6 experts) are on an H200 or A100 all at once.
constexpr int kWarps = 4;
// Column blocks on their way per warp. 4 warps × 4 × 2 tiles × 288 bytes (int8: 2 × 544) = 9 KiB a block, so about 40 KiB a
// multiprocessor at T = 1; 4.8 TB/s at 700 ns latency wants 25.
template <int kBits>
constexpr int kAhead = 16 / kBits;

// Lists, in ascending order, the pairs that share `leader`'s expert; 0 when a lower pair leads them. One warp.
__device__ inline int gatherPairs(const int* pairExpert, int pairs, int leader, int lane, int* members) {
    const int expert = pairExpert[leader];
    int count = 0;
    for (int base = 0; base < pairs; base += kWarpSize) {
        const int pair = base + lane;
        const bool same = pair < pairs && pairExpert[pair] == expert;
        const unsigned mask = __ballot_sync(kFullWarp, same);
        if (count == 0 && mask != 0 && base + __ffs(mask) - 1 != leader) return 0;
        if (same) members[count + __popc(mask & ((1u << lane) - 1))] = pair;
        count += __popc(mask);
    }
    return count;
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

// sum += two tiles · each token's x, columns of blocks `first`…`end` − 1. The warps split them, each keeps kAhead blocks in flight; mma's do
// the arithmetic of up to 8·kTokenTiles tokens on weights that were unpacked once. x: columns 8i… of this lane's token in every tile of 8, or null.
template <typename T, int kBits, int kTokenTiles>
__device__ inline void multiplyTilePair(float (&sum)[2][kTokenTiles][4], const ExpertMatrix& matrix, int tilePair, int first, int end,
                                        const T* const (&x)[kTokenTiles], int tokens) {
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const uint8_t* codes = matrix.codes + size_t(2 * tilePair) * matrix.blocks * 64 * kBits;
    const uint16_t* scales = matrix.scales + size_t(2 * tilePair) * matrix.blocks * kTileRows;
    const auto load = [&](CodeBlock<kBits>(&blocks)[2], int block) {
        for (int tile = 0; tile < 2; tile++) {
            const size_t position = size_t(tile) * matrix.blocks + block;
            blocks[tile].load(codes + position * 64 * kBits, scales + position * kTileRows, lane);
        }
    };

    constexpr int kDepth = kAhead<kBits>;
    CodeBlock<kBits> ahead[kDepth][2];
#pragma unroll
    for (int u = 0; u < kDepth; u++)
        if (first + warp + u * kWarps < end) load(ahead[u], first + warp + u * kWarps);
    for (int base = first + warp; base < end; base += kDepth * kWarps) {
#pragma unroll
        for (int u = 0; u < kDepth; u++) {
            const int block = base + u * kWarps;
            if (block >= end) break;
            uint4 rows[kTokenTiles];  // from L1, while the codes are unpacked
#pragma unroll
            for (int j = 0; j < kTokenTiles; j++)
                rows[j] = x[j] ? *reinterpret_cast<const uint4*>(x[j] + block * kBlockColumns) : uint4{0, 0, 0, 0};
            const WeightFragments<T, kBits> fragments[2] = {WeightFragments<T, kBits>(ahead[u][0]),
                                                           WeightFragments<T, kBits>(ahead[u][1])};
            const float2 scale[2] = {Pair16<half>::toFloat2(ahead[u][0].scales),
                                     Pair16<half>::toFloat2(ahead[u][1].scales)};
            if (block + kDepth * kWarps < end) load(ahead[u], block + kDepth * kWarps);
#pragma unroll
            for (int j = 0; j < kTokenTiles; j++) {
                if (8 * j >= tokens) break;
                multiplyBlock(sum[0][j], fragments[0], scale[0], rows[j]);
                multiplyBlock(sum[1][j], fragments[1], scale[1], rows[j]);
            }
        }
    }
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
    __shared__ int members[8 * kTokenTiles];  // pairs
    __shared__ int memberCount;
    __shared__ bool isLast[8 * kTokenTiles];
    __shared__ float sums[kWarps][2][kTokenTiles * 4][kWarpSize];
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const int sharedRows = sharedBlockRows<kPhase>(w, gridDim.x), leader = int(blockIdx.y) - sharedRows;
    const bool isShared = leader < 0, isSharedGateUp = isShared && kPhase == Phase::kGateUp;
    const int tilePair = isSharedGateUp ? blockIdx.y * gridDim.x + blockIdx.x : blockIdx.x;
    const int part = isShared && kPhase == Phase::kDown ? blockIdx.y : 0;
    const ExpertMatrix matrix = isShared ? sharedMatrix<kPhase>(a) : expertMatrix<kPhase>(a, w.pairExpert[leader]);
    if (2 * tilePair >= matrix.tiles) return;
    if (isShared) {
        if (threadIdx.x == 0) memberCount = a.tokens;
    } else if (warp == 0) {
        const int count = gatherPairs(w.pairExpert, a.tokens * a.topK, leader, lane, members);
        if (lane == 0) memberCount = count;
    }
    __syncthreads();
    if (memberCount == 0) return;

    const auto tokenOf = [&](int member) { return isShared ? member : members[member] / a.topK; };
    const T* x[kTokenTiles];
    for (int j = 0; j < kTokenTiles; j++) {
        const int member = 8 * j + lane / 4;
        x[j] = nullptr;
        if (member >= memberCount) continue;
        const T* row = !isShared                     ? activationRow<T, kPhase>(a, w, members[member])
                       : kPhase == Phase::kGateUp ? static_cast<const T*>(a.x) + size_t(member) * a.hidden
                                                  : static_cast<const T*>(w.sharedHidden) + size_t(member) * w.sharedWidth;
        x[j] = row + 8 * (lane % 4);
    }
    float sum[2][kTokenTiles][4] = {};
    if (!isShared) {
        multiplyTilePair<T, kBits, kTokenTiles>(sum, matrix, tilePair, 0, matrix.blocks, x, memberCount);
    } else {
        const int parts = kPhase == Phase::kDown ? kSharedParts : 1;
        multiplyTilePair<T, 8, kTokenTiles>(sum, matrix, tilePair, part * matrix.blocks / parts, (part + 1) * matrix.blocks / parts, x, memberCount);
    }

    for (int tile = 0; tile < 2; tile++)
        for (int j = 0; j < kTokenTiles; j++)
            for (int r = 0; r < 4; r++) sums[warp][tile][4 * j + r][lane] = sum[tile][j][r];
    __syncthreads();
    // Thread → lane `source`, token tile j and column r of the fragment; its two rows are values r and r + 2.
    for (int task = threadIdx.x; task < kTokenTiles * 2 * kWarpSize; task += kWarps * kWarpSize) {
        const int source = task % kWarpSize, j = task / kWarpSize / 2, r = task / kWarpSize % 2;
        const int member = 8 * j + fragmentToken(source, r);
        if (member >= memberCount) continue;
        float2 total[2] = {};
        for (int from = 0; from < kWarps; from++)
            for (int tile = 0; tile < 2; tile++) {
                total[tile].x += sums[from][tile][4 * j + r][source];
                total[tile].y += sums[from][tile][4 * j + r + 2][source];
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
