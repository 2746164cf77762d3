// ModalityMoe on CUDA: lays out the workspace and queues the steps of modality_moe_cuda.cuh. Which kernels run, and on what
// grids, follows from shapes alone; blocks that the routing leaves without work return at once.

#include <algorithm>

#include "../../common/tiled_linear.cuh"
#include "modality_moe_cuda.cuh"

namespace ernie {
namespace {

// Longer prompts run in chunks, so that the workspace (partial results: 60 KB a token at 28B size) stays bounded.
constexpr int kMaxChunkTokens = 2048;

bool isDecode(const ModalityMoe& a) { return a.type != ActivationType::kFloat32 && a.tokens <= kMaxDecodeTokens; }

// The shared experts where they are not part of the decode kernels.
TiledLinear sharedGateUpOf(const ModalityMoe& a, void* inner) { return {inner, a.x, a.sharedGateUp, a.type, a.tokens}; }
TiledLinear sharedDownOf(const ModalityMoe& a, const void* inner) { return {a.y, inner, a.sharedDown, a.type, a.tokens, true}; }

// The workspace of one chunk at `base`, and where it ends.
MoeWorkspace layOut(const ModalityMoe& a, uintptr_t base, size_t* bytes) {
    size_t end = 0;
    const auto take = [&](size_t size) {
        void* start = reinterpret_cast<void*>(base + end);
        end += (size + 255) / 256 * 256;
        return start;
    };
    const size_t pairs = size_t(a.tokens) * a.topK;
    MoeWorkspace w;
    w.widest = std::max(a.banks[0].width, a.banks[1].width);
    w.logits = static_cast<float*>(take(size_t(a.tokens) * a.experts * sizeof(float)));
    w.pairExpert = static_cast<int*>(take(pairs * sizeof(int)));
    w.pairWeight = static_cast<float*>(take(pairs * sizeof(float)));
    w.hidden = take(pairs * w.widest * elementBytes(a.type));
    w.sharedWidth = a.sharedDown.columns;
    w.sharedHidden = take(size_t(a.tokens) * w.sharedWidth * elementBytes(a.type));
    const size_t sharedParts = w.sharedWidth > 0 && isDecode(a) ? size_t(a.tokens) * kSharedParts : 0;
    w.partial = static_cast<float*>(take((pairs + sharedParts) * a.hidden * sizeof(float)));
    w.arrived = static_cast<int*>(take(size_t(a.tokens) * (a.hidden / kPairRows) * sizeof(int)));
    w.sortedPairs = static_cast<int*>(take(pairs * sizeof(int)));
    w.tiles = static_cast<TokenTile*>(take(maxTokenTiles(a, kSmallTile) * sizeof(TokenTile)));
    w.tileCount = static_cast<int*>(take(sizeof(int)));
    *bytes = end;
    return w;
}

ModalityMoe chunkOf(const ModalityMoe& a, int first, int tokens) {
    const size_t rowBytes = a.hidden * elementBytes(a.type);
    ModalityMoe chunk = a;
    chunk.y = static_cast<char*>(a.y) + first * rowBytes;
    chunk.x = static_cast<const char*>(a.x) + first * rowBytes;
    chunk.visionExpert = a.visionExpert + first;
    chunk.tokens = tokens;
    return chunk;
}

}  // namespace

size_t modalityMoeWorkspaceBytes(const ModalityMoe& a) {
    size_t bytes;
    layOut(chunkOf(a, 0, std::min(a.tokens, kMaxChunkTokens)), 0, &bytes);
    return bytes;
}

size_t modalityMoeDenseBytes(const ModalityMoe& a) {
    if (!a.hasShared() || isDecode(a)) return 0;
    const ModalityMoe chunk = chunkOf(a, 0, std::min(a.tokens, kMaxChunkTokens));
    return std::max(tiledLinearWorkspaceBytes(sharedGateUpOf(chunk, nullptr), RowUse::kGate), tiledLinearWorkspaceBytes(sharedDownOf(chunk, nullptr), RowUse::kStore));
}

void modalityMoeCuda(const ModalityMoe& args, void* workspace, void* dense, const QueueProduct& queueProduct, cudaStream_t stream) {
    for (int first = 0; first < args.tokens; first += kMaxChunkTokens) {
        const ModalityMoe a = chunkOf(args, first, std::min(kMaxChunkTokens, args.tokens - first));
        size_t bytes;
        const MoeWorkspace w = layOut(a, reinterpret_cast<uintptr_t>(workspace), &bytes);
        launchRoute(a, w, stream);
        if (isDecode(a)) {
            launchDecode(a, w, stream);
            continue;
        }
        a.type == ActivationType::kFloat32 ? launchFloat(a, w, stream) : launchGrouped(a, w, stream);
        launchCombine(a, w, stream);
        if (w.sharedWidth == 0) continue;
        launchTiledLinear(sharedGateUpOf(a, w.sharedHidden), RowUse::kGate, dense, queueProduct, stream);
        launchTiledLinear(sharedDownOf(a, w.sharedHidden), RowUse::kStore, dense, queueProduct, stream);
    }
}

}  // namespace ernie
