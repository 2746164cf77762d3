// SwiGlu on CUDA: one thread per two columns, a grid of rows × pieces of a row. Bound by the launch in a decode step and by memory
// in a prompt.

#include "../../common/activation_pair.cuh"
#include "swi_glu.h"

namespace ernie {
namespace {

constexpr int kThreads = 256;

__device__ inline float silu(float z) { return z / (1 + expf(-z)); }

template <typename Pair>
__global__ void __launch_bounds__(kThreads) gateKernel(SwiGlu a) {
    const int pairs = a.width / 2, pair = blockIdx.y * kThreads + threadIdx.x;
    if (pair >= pairs) return;

    const size_t row = blockIdx.x;
    const Pair* x = static_cast<const Pair*>(a.x) + row * 2 * pairs + pair;
    const float2 gate = toFloats(x[0]), up = toFloats(x[pairs]);
    storePair(static_cast<Pair*>(a.y) + row * pairs + pair, silu(gate.x) * up.x, silu(gate.y) * up.y);
}

}  // namespace

void swiGluCuda(const SwiGlu& a, cudaStream_t stream) {
    const dim3 grid(a.rows, (a.width / 2 + kThreads - 1) / kThreads);
    withPairType(a.type, [&](auto pair) { launch(gateKernel<decltype(pair)>, grid, kThreads, 0, stream, a); });
}

}  // namespace ernie
