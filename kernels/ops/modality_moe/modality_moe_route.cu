// Routing: logits, then the topK experts of every token. All fp32.

#include <cfloat>

#include "../../common/tensor_core.cuh"
#include "modality_moe_cuda.cuh"

namespace ernie {
namespace {

constexpr int kWarps = 4;

__device__ inline float warpSum(float value) {
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(kFullWarp, value, distance);
    return value;
}

__device__ inline float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }

// Four activations as they lie in memory.
template <typename T>
struct Raw4 {
    uint2 bits;
    __device__ float4 toFloats() const {
        const float2 low = Pair16<T>::toFloat2(bits.x), high = Pair16<T>::toFloat2(bits.y);
        return {low.x, low.y, high.x, high.y};
    }
};

template <>
struct Raw4<float> {
    float4 values;
    __device__ float4 toFloats() const { return values; }
};

template <typename T>
__device__ inline Raw4<T> loadRaw4(const T* p) { return *reinterpret_cast<const Raw4<T>*>(p); }

// Logits, one warp per kTokens tokens × kExperts experts of one bank. Decode (1 × 1): bound by reading the router, so spread
// over as many warps as there are experts. Prefill (8 × 4): bound by FMAs; every loaded value is used 4 or 8 times.
// Both sum in the same order: a token's routing does not depend on its neighbours. "1 block" in the launch bounds: else the compiler
// takes 32 registers and waits for every load before the next.
template <typename T, int kTokens, int kExperts>
__global__ void __launch_bounds__(kWarps* kWarpSize, 1) logitsKernel(ModalityMoe a, float* logits) {
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const int firstExpert = (blockIdx.x * kWarps + warp) * kExperts, firstToken = blockIdx.y * kTokens;
    const int bank = blockIdx.z;
    letNextStart();
    bool inBank[kTokens], any = false;
    for (int t = 0; t < kTokens; t++) {
        inBank[t] = firstToken + t < a.tokens && (a.visionExpert[firstToken + t] != 0) == (bank != 0);
        any |= inBank[t];
    }
    if (!any || firstExpert >= a.experts) return;

    const float* router[kExperts];
    const T* x[kTokens];
    for (int e = 0; e < kExperts; e++)
        router[e] = a.router + (size_t(bank) * a.experts + min(firstExpert + e, a.experts - 1)) * a.hidden;
    for (int t = 0; t < kTokens; t++)
        x[t] = static_cast<const T*>(a.x) + size_t(min(firstToken + t, a.tokens - 1)) * a.hidden;

    float sum[kTokens][kExperts] = {};
    // Column blocks on their way at once: in decode all of the 28B's.
    constexpr int kAhead = kTokens * kExperts == 1 ? 20 : 1, kStep = kWarpSize * 4;
    for (int first = lane * 4; first < a.hidden; first += kAhead * kStep) {
        float4 w[kAhead][kExperts];
        Raw4<T> x1[kAhead];
#pragma unroll
        for (int i = 0; i < kAhead; i++) {
            const bool isThere = i == 0 || first + i * kStep < a.hidden;
            for (int e = 0; e < kExperts; e++) w[i][e] = isThere ? load4(router[e] + first + i * kStep) : float4{0, 0, 0, 0};
            if (kTokens == 1) x1[i] = isThere ? loadRaw4(x[0] + first + i * kStep) : Raw4<T>{};
        }
#pragma unroll
        for (int i = 0; i < kAhead; i++)
            for (int t = 0; t < kTokens; t++) {
                const float4 v = (kTokens == 1 ? x1[i] : loadRaw4(x[t] + first)).toFloats();
                for (int e = 0; e < kExperts; e++) {
                    const float4 u = w[i][e];
                    sum[t][e] = fmaf(v.w, u.w, fmaf(v.z, u.z, fmaf(v.y, u.y, fmaf(v.x, u.x, sum[t][e]))));
                }
            }
    }
    for (int t = 0; t < kTokens; t++)
        for (int e = 0; e < kExperts; e++) {
            const float logit = warpSum(sum[t][e]);
            if (lane == 0 && inBank[t] && firstExpert + e < a.experts)
                logits[size_t(firstToken + t) * a.experts + firstExpert + e] = logit;
        }
}

// topK, one warp per token, up to kSlots experts a lane (lane, lane + 32, …). Bound by latency: each expert's rank is the number of
// better ones, which lanes count side by side: a shuffle for each expert, and none waits for another.
template <int kSlots>
__global__ void __launch_bounds__(kWarps* kWarpSize) topKKernel(ModalityMoe a, MoeWorkspace w) {
    const int lane = threadIdx.x % kWarpSize, token = blockIdx.x * kWarps + threadIdx.x / kWarpSize;
    letNextStart();
    if (token >= a.tokens) return;
    const int bank = a.visionExpert[token] != 0;
    for (int i = lane; i < a.hidden / kPairRows; i += kWarpSize) w.arrived[size_t(token) * (a.hidden / kPairRows) + i] = 0;
    waitForPrevious();  // the logits

    // softmax
    float p[kSlots], largest = -FLT_MAX, total = 0;
    for (int s = 0; s < kSlots; s++) {
        const int e = lane + s * kWarpSize;
        p[s] = e < a.experts ? w.logits[size_t(token) * a.experts + e] : -INFINITY;
        largest = fmaxf(largest, p[s]);
    }
    for (int d = kWarpSize / 2; d > 0; d /= 2) largest = fmaxf(largest, __shfl_xor_sync(kFullWarp, largest, d));
    for (int s = 0; s < kSlots; s++) {
        p[s] = lane + s * kWarpSize < a.experts ? expf(p[s] - largest) : 0;
        total += p[s];
    }
    total = warpSum(total);

    float score[kSlots];
    for (int s = 0; s < kSlots; s++) {
        const int e = lane + s * kWarpSize;
        p[s] /= total;
        score[s] = e < a.experts ? p[s] + a.correctionBias[bank * a.experts + e] : -INFINITY;
        if (!(score[s] >= -FLT_MAX)) score[s] = -INFINITY;  // NaN loses, and some expert is chosen all the same
    }

    // how many are better; of equal ones the lower expert is. Experts that do not exist are after all that do.
    int rank[kSlots] = {};
#pragma unroll
    for (int s = 0; s < kSlots; s++) {
        if (s * kWarpSize >= a.experts) break;
#pragma unroll 8  // not all: each launch fetches the code anew
        for (int source = 0; source < kWarpSize; source++) {
            const float other = __shfl_sync(kFullWarp, score[s], source);
#pragma unroll
            for (int mine = 0; mine < kSlots; mine++) {
                const bool isLower = s * kWarpSize + source < lane + mine * kWarpSize;
                rank[mine] += other > score[mine] || (other == score[mine] && isLower);
            }
        }
    }
    float chosenSum = 0;
    for (int s = 0; s < kSlots; s++) {
        if (lane + s * kWarpSize >= a.experts) rank[s] = kMaxExperts;
        if (rank[s] < a.topK) chosenSum += p[s];
    }
    chosenSum = warpSum(chosenSum);
    for (int s = 0; s < kSlots; s++) {
        if (rank[s] >= a.topK) continue;
        const size_t pair = size_t(token) * a.topK + rank[s];
        w.pairExpert[pair] = bank * a.experts + lane + s * kWarpSize;
        w.pairWeight[pair] = p[s] / (chosenSum < a.normMin ? a.normMin : chosenSum);  // NaN stays NaN
    }
}

template <typename T>
void launchLogits(const ModalityMoe& a, float* logits, cudaStream_t stream) {
    constexpr int kFewTokens = 32;
    if (a.tokens <= kFewTokens)
        launch(logitsKernel<T, 1, 1>, dim3(divideUp(a.experts, kWarps), a.tokens, 2), kWarps * kWarpSize, 0, stream, a, logits);
    else
        launch(logitsKernel<T, 8, 4>, dim3(divideUp(a.experts, kWarps * 4), divideUp(a.tokens, 8), 2), kWarps * kWarpSize, 0,
               stream, a, logits);
}

__device__ inline void store4(float* y, float4 v) { *reinterpret_cast<float4*>(y) = v; }

template <typename T>
__device__ inline void store4(T* y, float4 v) {
    *reinterpret_cast<uint2*>(y) = {Pair16<T>::fromFloat2(v.x, v.y), Pair16<T>::fromFloat2(v.z, v.w)};
}

// y = weighted sum of a token's partial results, one thread per 4 columns, k ascending. Bound by reading the partials.
template <typename T>
__global__ void combineKernel(ModalityMoe a, MoeWorkspace w) {
    const int column = (blockIdx.x * blockDim.x + threadIdx.x) * 4, token = blockIdx.y;
    if (column >= a.hidden) return;
    float4 y = {0, 0, 0, 0};
    for (int k = 0; k < a.topK; k++) {
        const size_t pair = size_t(token) * a.topK + k;
        const float weight = w.pairWeight[pair];
        const float4 part = load4(w.partial + pair * a.hidden + column);
        y = {fmaf(weight, part.x, y.x), fmaf(weight, part.y, y.y), fmaf(weight, part.z, y.z), fmaf(weight, part.w, y.w)};
    }
    store4(static_cast<T*>(a.y) + size_t(token) * a.hidden + column, y);
}

}  // namespace

void launchRoute(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    if (a.type == ActivationType::kFloat32) launchLogits<float>(a, w.logits, stream);
    if (a.type == ActivationType::kFloat16) launchLogits<half>(a, w.logits, stream);
    if (a.type == ActivationType::kBfloat16) launchLogits<__nv_bfloat16>(a, w.logits, stream);
    static_assert(kMaxExperts == 4 * kWarpSize, "four experts a lane");
    const auto topK = a.experts <= 2 * kWarpSize ? topKKernel<2> : topKKernel<4>;
    const dim3 grid(divideUp(a.tokens, kWarps));
    a.startsEarly ? launchEarly(topK, grid, kWarps * kWarpSize, stream, a, w) : launch(topK, grid, kWarps * kWarpSize, 0, stream, a, w);
}

void launchCombine(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    constexpr int kThreads = 128;
    const dim3 grid(divideUp(a.hidden, 4 * kThreads), a.tokens);
    if (a.type == ActivationType::kFloat32) launch(combineKernel<float>, grid, kThreads, 0, stream, a, w);
    if (a.type == ActivationType::kFloat16) launch(combineKernel<half>, grid, kThreads, 0, stream, a, w);
    if (a.type == ActivationType::kBfloat16) launch(combineKernel<__nv_bfloat16>, grid, kThreads, 0, stream, a, w);
}

}  // namespace ernie
