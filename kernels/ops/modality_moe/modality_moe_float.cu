// Experts for fp32 activations: no tensor cores, any token count, for hosts that want the accuracy and not the speed.

#include "../../common/tensor_core.cuh"
#include "modality_moe_cuda.cuh"

namespace ernie {
namespace {

constexpr int kWarps = 8;

// q − middle at row r, column c of a 16×32 block.
__host__ __device__ inline int codeAt(const uint8_t* block, int bits, int r, int c) {
    if (bits == 8) return block[c / 4 * 64 + 4 * r + c % 4] - 128;
    const int byte = block[c / 8 * 64 + 4 * r + c % 4];
    return (c % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

// One block per tile pair × pair. Bound by unpacking single codes. A lane owns one of the 32 rows, 8 warps split the
// columns, and their sums are added in fixed order.
template <Phase kPhase>
__global__ void __launch_bounds__(kWarps* kWarpSize) floatKernel(ModalityMoe a, MoeWorkspace w) {
    __shared__ float sums[kWarps][kWarpSize];
    const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
    const int tilePair = blockIdx.x, pair = blockIdx.y;
    const ExpertMatrix matrix = expertMatrix<kPhase>(a, w.pairExpert[pair]);
    if (2 * tilePair >= matrix.tiles) return;

    const float* x = activationRow<float, kPhase>(a, w, pair);
    const int row = lane % kTileRows;
    const size_t firstBlock = size_t(2 * tilePair + lane / kTileRows) * matrix.blocks;
    float sum = 0;
    for (int block = warp; block < matrix.blocks; block += kWarps) {
        const uint8_t* codes = matrix.codes + (firstBlock + block) * 64 * a.bits;
        const __half_raw scale = {matrix.scales[(firstBlock + block) * kTileRows + row]};
        float blockSum = 0;
        for (int c = 0; c < kBlockColumns; c++) blockSum += x[block * kBlockColumns + c] * codeAt(codes, a.bits, row, c);
        sum += __half2float(half(scale)) * blockSum;
    }
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp != 0) return;

    float total = 0;
    for (int part = 0; part < kWarps; part++) total += sums[part][lane];
    if (kPhase == Phase::kDown) {
        w.partial[size_t(pair) * a.hidden + tilePair * kWarpSize + lane] = total;
        return;
    }
    const float up = __shfl_sync(kFullWarp, total, lane % kTileRows + kTileRows);
    if (lane < kTileRows)
        static_cast<float*>(w.hidden)[size_t(pair) * w.widest + tilePair * kTileRows + lane] = total / (1 + expf(-total)) * up;
}

}  // namespace

void launchFloat(const ModalityMoe& a, const MoeWorkspace& w, cudaStream_t stream) {
    const auto grid = [&](Phase phase) { return dim3(maxTilePairs(a, w, phase), a.tokens * a.topK); };
    launch(floatKernel<Phase::kGateUp>, grid(Phase::kGateUp), kWarps * kWarpSize, 0, stream, a, w);
    launch(floatKernel<Phase::kDown>, grid(Phase::kDown), kWarps * kWarpSize, 0, stream, a, w);
}

}  // namespace ernie
