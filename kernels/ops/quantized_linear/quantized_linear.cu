// QuantizedLinear on CUDA: see common/tiled_linear.cuh.

#include "../../common/tiled_linear.cuh"
#include "quantized_linear.h"

namespace ernie {
namespace {

TiledLinear linearOf(const QuantizedLinear& a) { return {a.y, a.x, a.weight, a.type, a.tokens, false, a.rotation}; }

}  // namespace

size_t quantizedLinearWorkspaceBytes(const QuantizedLinear& a) { return tiledLinearWorkspaceBytes(linearOf(a), RowUse::kStore); }

void quantizedLinearCuda(const QuantizedLinear& a, void* workspace, const QueueProduct& queueProduct, cudaStream_t stream) {
    launchTiledLinear(linearOf(a), RowUse::kStore, workspace, queueProduct, stream);
}

}  // namespace ernie
