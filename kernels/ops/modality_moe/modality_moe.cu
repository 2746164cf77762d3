// ModalityMoe on CUDA: lays out the workspace and queues the steps of modality_moe_cuda.cuh. Which kernels run, and on what
// grids, follows from shapes alone; blocks that the routing leaves without work return at once.

#include <algorithm>

#include "modality_moe_cuda.cuh"

namespace ernie {
namespace {

// Longer prompts run in chunks, so that the workspace (partial results: 40 or 60 KB a token at 28B size) stays bounded.
constexpr int kMaxChunkTokens = 4096;

// The workspace of one chunk at `base`, and where it ends.
MoeWorkspace layOut(const ModalityMoe& a, uintptr_t base, size_t* bytes) {
    size_t end = 0;
    const auto take = [&](size_t size) {
        void* start = reinterpret_cast<void*>(base + end);
        end += (size + 255) / 256 * 256;
        return start;
    };
    const size_t pairs = size_t(a.tokens) * a.topK, elementBytes = a.type == ActivationType::kFloat32 ? 4 : 2;
    MoeWorkspace w;
    w.widest = std::max(a.banks[0].width, a.banks[1].width);
    w.logits = static_cast<float*>(take(size_t(a.tokens) * a.experts * sizeof(float)));
    w.pairExpert = static_cast<int*>(take(pairs * sizeof(int)));
    w.pairWeight = static_cast<float*>(take(pairs * sizeof(float)));
    w.hidden = take(pairs * w.widest * elementBytes);
    w.partial = static_cast<float*>(take(pairs * a.hidden * sizeof(float)));
    w.arrived = static_cast<int*>(take(size_t(a.tokens) * (a.hidden / kPairRows) * sizeof(int)));
    w.sortedPairs = static_cast<int*>(take(pairs * sizeof(int)));
    w.tiles = static_cast<TokenTile*>(take(maxTokenTiles(a, kSmallTile) * sizeof(TokenTile)));
    w.tileCount = static_cast<int*>(take(sizeof(int)));
    *bytes = end;
    return w;
}

ModalityMoe chunkOf(const ModalityMoe& a, int first, int tokens) {
    const size_t rowBytes = size_t(a.hidden) * (a.type == ActivationType::kFloat32 ? 4 : 2);
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

void modalityMoeCuda(const ModalityMoe& args, void* workspace, cudaStream_t stream) {
    for (int first = 0; first < args.tokens; first += kMaxChunkTokens) {
        const ModalityMoe a = chunkOf(args, first, std::min(kMaxChunkTokens, args.tokens - first));
        size_t bytes;
        const MoeWorkspace w = layOut(a, reinterpret_cast<uintptr_t>(workspace), &bytes);
        launchRoute(a, w, stream);
        const bool isFloat = a.type == ActivationType::kFloat32;
        if (!isFloat && a.tokens <= kMaxDecodeTokens) {
            launchDecode(a, w, stream);
            continue;
        }
        isFloat ? launchFloat(a, w, stream) : launchGrouped(a, w, stream);
        launchCombine(a, w, stream);
    }
}

}  // namespace ernie
