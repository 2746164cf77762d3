// RotaryQkv on CUDA: one thread per pair, a grid of tokens × pieces of a token. Bound by the launch in a decode step and by memory
// in a prompt; cosines and sines come from L1 for all heads but the first.

#include "../../common/activation_pair.cuh"
#include "rotary_qkv.h"

namespace ernie {
namespace {

constexpr int kThreads = 256;

template <typename Pair>
__global__ void __launch_bounds__(kThreads) rotaryKernel(RotaryQkv a) {
    using Angle = decltype(Pair::x);
    const int headPairs = a.headDim / 2, tokenPairs = a.heads * headPairs;
    const int pair = blockIdx.y * kThreads + threadIdx.x;
    if (pair >= tokenPairs) return;

    const size_t token = blockIdx.x, index = token * tokenPairs + pair;
    const Pair* x = static_cast<const Pair*>(a.x) + index;
    Pair* y = static_cast<Pair*>(a.y) + index;
    if (pair >= a.rotatedHeads * headPairs) {
        *y = *x;
        return;
    }
    const size_t angle = token * headPairs + pair % headPairs;
    const float cosine = toFloat(static_cast<const Angle*>(a.cosines)[angle]);
    const float sine = toFloat(static_cast<const Angle*>(a.sines)[angle]);
    const float2 values = toFloats(*x);
    storePair(y, values.x * cosine - values.y * sine, values.x * sine + values.y * cosine);
}

}  // namespace

void rotaryQkvCuda(const RotaryQkv& a, cudaStream_t stream) {
    const int tokenPairs = a.heads * a.headDim / 2;
    const dim3 grid(a.tokens, (tokenPairs + kThreads - 1) / kThreads);
    withPairType(a.type, [&](auto pair) { launch(rotaryKernel<decltype(pair)>, grid, kThreads, 0, stream, a); });
}

}  // namespace ernie
