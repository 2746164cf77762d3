// Experts for many tokens: pairs are sorted by expert, then tiles of tokens meet tiles of weights on the tensor cores.

#include "modality_moe_tile.cuh"

namespace ernie {
namespace {

constexpr int kSortThreads = 1024;

// Sort, one block per expert. Every block counts all experts' pairs (so it knows its own offset without waiting for others)
// and then lists its own in ascending order. Bound by latency: pairs/1024 rounds, the ids come from L2.
__global__ void __launch_bounds__(kSortThreads) sortKernel(ModalityMoe a, MoeWorkspace w, int tokensPerTile) {
    __shared__ int counts[2 * kMaxExperts];
    __shared__ int offset, tileOffset;
    __shared__ int warpCounts[kSortThreads / kWarpSize];
    const int pairs = a.tokens * a.topK, bankExperts = 2 * a.experts, expert = blockIdx.x, thread = threadIdx.x;
    const int lane = thread % kWarpSize, warp = thread / kWarpSize;

    if (thread < 2 * kMaxExperts) counts[thread] = 0;
    if (thread == 0) offset = tileOffset = 0;
    __syncthreads();
    for (int pair = thread; pair < pairs; pair += kSortThreads) atomicAdd(&counts[w.pairExpert[pair]], 1);
    __syncthreads();
    if (thread < expert) {
        atomicAdd(&offset, counts[thread]);
        atomicAdd(&tileOffset, divideUp(counts[thread], tokensPerTile));
    }
    __syncthreads();

    const int count = counts[expert], tiles = divideUp(count, tokensPerTile);
    if (expert == bankExperts - 1 && thread == 0) *w.tileCount = tileOffset + tiles;
    for (int tile = thread; tile < tiles; tile += kSortThreads)
        w.tiles[tileOffset + tile] = {expert, offset + tile * tokensPerTile, min(tokensPerTile, count - tile * tokensPerTile)};

    int listed = 0;
    for (int base = 0; base < pairs && listed < count; base += kSortThreads) {
        const int pair = base + thread;
        const bool mine = pair < pairs && w.pairExpert[pair] == expert;
        const unsigned mask = __ballot_sync(kFullWarp, mine);
        if (lane == 0) warpCounts[warp] = __popc(mask);
        __syncthreads();
        int before = 0, all = 0;
        for (int other = 0; other < kSortThreads / kWarpSize; other++) {
            if (other < warp) before += warpCounts[other];
            all += warpCounts[other];
        }
        if (mine) w.sortedPairs[offset + listed + before + __popc(mask & ((1u << lane) - 1))] = pair;
        listed += all;
        __syncthreads();
    }
}

constexpr int kThreads = 256;
constexpr int kRowWarps = 4;                  // each a tile pair: 128 weight rows a block
constexpr int kTokenWarps = 2;                // each kTokenTiles · 8 tokens
constexpr int kTilesPerBlock = 2 * kRowWarps;

// One column block of everything a thread block needs.
template <int kBits, int kTokens>
struct Stage {
    uint4 tokens[kTokens][4];                   // 32 columns: a quarter warp's 16-byte reads cover two rows, all banks once
    uint4 codes[kTilesPerBlock][4 * kBits];
    uint4 scales[kTilesPerBlock][2];
};

// A thread's fixed share of filling the stages: up to two token chunks, one of codes, one of scales, one column block later
// each time.
template <typename T, int kBits, int kTokens, Phase kPhase>
struct StageLoader {
    using BlockStage = Stage<kBits, kTokens>;
    static constexpr int kTokenChunks = kTokens * 4, kCodeChunks = kTilesPerBlock * 4 * kBits;
    static constexpr int kTokenRounds = (kTokenChunks + kThreads - 1) / kThreads;
    static_assert(kCodeChunks <= kThreads, "one chunk of codes a thread");

    const char* tokens[kTokenRounds];
    bool tokenPresent[kTokenRounds];
    const uint8_t* codes;
    const uint16_t* scales;
    int codesTarget;
    bool hasCodes, hasScales;

    __device__ StageLoader(const ModalityMoe& a, const MoeWorkspace& w, const ExpertMatrix& m, const TokenTile& tile,
                           int firstTile, int thread) {
        for (int round = 0; round < kTokenRounds; round++) {
            const int chunk = thread + round * kThreads, row = chunk / 4;
            tokenPresent[round] = row < tile.count;
            const int pair = w.sortedPairs[tile.first + (tokenPresent[round] ? row : 0)];
            tokens[round] = reinterpret_cast<const char*>(activationRow<T, kPhase>(a, w, pair)) + chunk % 4 * 16;
        }
        const int codeTile = thread / (4 * kBits), scaleTile = thread / 2;
        hasCodes = thread < kCodeChunks && firstTile + codeTile < m.tiles;
        hasScales = scaleTile < kTilesPerBlock && firstTile + scaleTile < m.tiles;
        codesTarget = codeTile * 4 * kBits + stagedPiece<kBits>(thread % (4 * kBits));
        codes = m.codes + size_t(firstTile + codeTile) * m.blocks * 64 * kBits + thread % (4 * kBits) * 16;
        scales = m.scales + size_t(firstTile + scaleTile) * m.blocks * kTileRows + thread % 2 * 8;
    }

    __device__ void load(BlockStage& stage, int block, int thread) const {
        for (int round = 0; round < kTokenRounds; round++) {
            const int chunk = thread + round * kThreads;
            if (kTokenChunks % kThreads == 0 || chunk < kTokenChunks)
                copyAsync16(&stage.tokens[0][0] + chunk, tokens[round] + size_t(block) * 64, tokenPresent[round]);
        }
        if (hasCodes) copyAsync16(&stage.codes[0][0] + codesTarget, codes + size_t(block) * 64 * kBits, true);
        if (hasScales) copyAsync16(&stage.scales[0][0] + thread, scales + size_t(block) * kTileRows, true);
    }
};

// sum += this warp's tile pair · its tokens, for one column block. Tokens past `count` are skipped 16 at a time.
template <typename T, int kBits, int kTokens, int kTokenTiles>
__device__ inline void multiplyStage(float (&sum)[2][kTokenTiles][4], const Stage<kBits, kTokens>& stage, int tileInBlock,
                                     int firstToken, int count, int lane) {
    CodeBlock<kBits> blocks[2];
    for (int tile = 0; tile < 2; tile++) blocks[tile].load(stage.codes[tileInBlock + tile], stage.scales[tileInBlock + tile], lane);
    const WeightFragments<T, kBits> fragments[2] = {WeightFragments<T, kBits>(blocks[0]), WeightFragments<T, kBits>(blocks[1])};
    const float2 scale[2] = {Pair16<half>::toFloat2(blocks[0].scales), Pair16<half>::toFloat2(blocks[1].scales)};
#pragma unroll
    for (int j = 0; j < kTokenTiles; j += 2) {
        if (firstToken + 8 * j >= count) break;
#pragma unroll
        for (int n = j; n < j + 2; n++) {
            const uint4 tokens = stage.tokens[firstToken + 8 * n + lane / 4][lane % 4];
            multiplyBlock(sum[0][n], fragments[0], scale[0], tokens);
            multiplyBlock(sum[1][n], fragments[1], scale[1], tokens);
        }
    }
}

// One block per 128 weight rows × tile of up to 2·8·kTokenTiles tokens of one expert; 4 × 2 warps. Bound by the tensor cores
// when tiles are full, by weight bytes when they are not. cp.async keeps kStages − 1 column blocks in flight; codes stay
// packed in shared memory and become fragments in registers, once per 8·kTokenTiles tokens.
template <typename T, int kBits, int kTokenTiles, int kStages, Phase kPhase>
__global__ void __launch_bounds__(kThreads, 2) groupedKernel(ModalityMoe a, MoeWorkspace w) {
    constexpr int kTokens = kTokenWarps * 8 * kTokenTiles;
    if (int(blockIdx.y) >= *w.tileCount) return;
    const TokenTile tile = w.tiles[blockIdx.y];
    const ExpertMatrix matrix = expertMatrix<kPhase>(a, tile.expert);
    const int firstTile = blockIdx.x * kTilesPerBlock;
    if (firstTile >= matrix.tiles) return;
    const int thread = threadIdx.x, lane = thread % kWarpSize, warp = thread / kWarpSize;
    const int tileInBlock = warp % kRowWarps * 2, firstToken = warp / kRowWarps * 8 * kTokenTiles;
    const bool hasRows = firstTile + tileInBlock < matrix.tiles;

    auto* stages = reinterpret_cast<Stage<kBits, kTokens>*>(dynamicShared());
    const StageLoader<T, kBits, kTokens, kPhase> loader(a, w, matrix, tile, firstTile, thread);
    for (int block = 0; block < kStages - 1; block++) {
        if (block < matrix.blocks) loader.load(stages[block], block, thread);
        copyAsyncCommit();
    }
    float sum[2][kTokenTiles][4] = {};
    for (int block = 0; block < matrix.blocks; block++) {
        copyAsyncWait<kStages - 2>();
        __syncthreads();  // this block's data is there for all, and all have left the stage that is filled next
        const int next = block + kStages - 1;
        if (next < matrix.blocks) loader.load(stages[next % kStages], next, thread);
        copyAsyncCommit();
        if (hasRows) multiplyStage<T>(sum, stages[block % kStages], tileInBlock, firstToken, tile.count, lane);
    }

    if (!hasRows) return;
#pragma unroll
    for (int j = 0; j < kTokenTiles; j++)
        for (int r = 0; r < 2; r++) {
            const int token = firstToken + 8 * j + fragmentToken(lane, r);
            if (token >= tile.count) continue;
            void* rows = resultRows<T, kPhase>(a, w, w.sortedPairs[tile.first + token], (firstTile + tileInBlock) / 2);
            storeRows<T, kPhase>(rows, fragmentRow(lane, r), {sum[0][j][r], sum[0][j][r + 2]}, {sum[1][j][r], sum[1][j][r + 2]});
        }
}

template <typename T, int kBits, int kTokenTiles, int kStages>
void launchTiles(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    constexpr int kTokens = kTokenWarps * 8 * kTokenTiles;
    const size_t sharedBytes = kStages * sizeof(Stage<kBits, kTokens>);
    const auto grid = [&](Phase phase) {
        return dim3(divideUp(maxTilePairs(a, w, phase), kRowWarps), maxTokenTiles(a, kTokens));
    };
    launch(sortKernel, dim3(2 * a.experts), kSortThreads, 0, stream, a, w, kTokens);
    const auto gateUp = groupedKernel<T, kBits, kTokenTiles, kStages, Phase::kGateUp>;
    const auto down = groupedKernel<T, kBits, kTokenTiles, kStages, Phase::kDown>;
    launch(gateUp, grid(Phase::kGateUp), kThreads, sharedBytes, stream, a, w);
    launch(down, grid(Phase::kDown), kThreads, sharedBytes, stream, a, w);
}

template <typename T, int kBits>
void launchBits(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    // Small tiles are bound by bytes and want more stages in flight; both choices let two blocks share an sm_80 or sm_90 SM.
    if (a.tokens <= kSmallTileTokens) return launchTiles<T, kBits, 2, 8>(a, w, stream);
    launchTiles<T, kBits, 8, 4>(a, w, stream);
}

template <typename T>
void launchType(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    a.bits == 4 ? launchBits<T, 4>(a, w, stream) : launchBits<T, 8>(a, w, stream);
}

}  // namespace

void launchGrouped(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    a.type == ActivationType::kFloat16 ? launchType<half>(a, w, stream) : launchType<__nv_bfloat16>(a, w, stream);
}

}  // namespace ernie
