// GatedMlp on CUDA: gate and up with silu(gate) · up, then down (common/tiled_linear.cuh).

#include <algorithm>

#include "../../common/tiled_linear.cuh"
#include "gated_mlp.h"

namespace ernie {
namespace {

// Longer prompts run in chunks, so that the workspace stays bounded: 144 MB at 28B size.
constexpr int kMaxChunkTokens = 2048;

size_t rowBytes(const GatedMlp& a, int columns) { return columns * elementBytes(a.type); }

GatedMlp chunkOf(const GatedMlp& a, int first) {
    const size_t offset = first * rowBytes(a, a.down.rows);
    GatedMlp chunk = a;
    chunk.y = static_cast<char*>(a.y) + offset;
    chunk.x = static_cast<const char*>(a.x) + offset;
    chunk.tokens = std::min(kMaxChunkTokens, a.tokens - first);
    return chunk;
}

TiledLinear gateUpOf(const GatedMlp& a, void* inner) { return {inner, a.x, a.gateUp, a.type, a.tokens}; }
TiledLinear downOf(const GatedMlp& a, const void* inner) { return {a.y, inner, a.down, a.type, a.tokens}; }

// Of the chunk's silu(gate) · up, where the workspace starts.
size_t innerBytes(const GatedMlp& chunk) { return (chunk.tokens * rowBytes(chunk, chunk.down.columns) + 255) / 256 * 256; }

}  // namespace

size_t gatedMlpWorkspaceBytes(const GatedMlp& a) {
    const GatedMlp chunk = chunkOf(a, 0);
    return innerBytes(chunk) + std::max(tiledLinearWorkspaceBytes(gateUpOf(chunk, nullptr), RowUse::kGate), tiledLinearWorkspaceBytes(downOf(chunk, nullptr), RowUse::kStore));
}

void gatedMlpCuda(const GatedMlp& a, void* workspace, const QueueProduct& queueProduct, cudaStream_t stream) {
    for (int first = 0; first < a.tokens; first += kMaxChunkTokens) {
        const GatedMlp chunk = chunkOf(a, first);
        char* rest = static_cast<char*>(workspace) + innerBytes(chunk);
        launchTiledLinear(gateUpOf(chunk, workspace), RowUse::kGate, rest, queueProduct, stream);
        launchTiledLinear(downOf(chunk, workspace), RowUse::kStore, rest, queueProduct, stream);
    }
}

}  // namespace ernie
