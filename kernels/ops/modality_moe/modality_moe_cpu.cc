// CPU kernel: route, group the tokens by expert, gate and up with SwiGLU, down. Every needed expert is read once per pass;
// tasks write disjoint memory and add up in a fixed order, so results do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../../common/half.h"
#include "cpu_lanes.h"
#include "modality_moe.h"

namespace ernie {
namespace {

constexpr int kTokensPerPass = 1024;   // bounds scratch memory: 28 MB at 28B sizes
constexpr int kExpertsPerTask = 16;    // router rows
constexpr int kDownTilesPerTask = 2;

struct Assignment {
    int token;
    float weight;
};

// Assignments first…last−1 of the pass belong to this expert.
struct ExpertRun {
    int bank, expert, first, last;
    int firstTask;  // of the gate and up phase: one task per block of 32 intermediate columns
};

template <typename T>
T* atLeast(std::vector<T>& buffer, size_t count) {
    if (buffer.size() < count) buffer.resize(count);
    return buffer.data();
}

// Kept by each calling thread, shared by all layers.
struct Scratch {
    std::vector<float> x, y, logits;
    std::vector<ActivationBlock> quantizedX, quantizedH;
    std::vector<int> chosen;
    std::vector<float> chosenWeights;
    std::vector<Assignment> assignments;
    std::vector<ExpertRun> runs;
};

const CpuLanes& lanesOf(CpuKernel kernel) {
#if defined(__x86_64__)
    if (kernel == CpuKernel::kAvx512Vnni) return avx512VnniLanes;
    if (kernel == CpuKernel::kAvx2) return avx2Lanes;
#endif
    (void)kernel;
    return portableLanes;
}

// At most kTokensPerPass tokens of one call.
class Pass {
  public:
    Pass(const ModalityMoe& args, ParallelFor parallelFor, CpuKernel kernel, Scratch& scratch)
        : a(args), parallelFor(parallelFor), lanes(lanesOf(kernel)), s(scratch), middle(args.bits == 4 ? 8 : 128) {
        xBlocks = a.hidden / kBlockColumns;
        hBlocks = std::max(a.banks[0].width, a.banks[1].width) / kBlockColumns;
        const size_t slots = size_t(a.tokens) * a.topK;
        atLeast(s.logits, size_t(a.tokens) * a.experts);
        atLeast(s.quantizedX, size_t(a.tokens) * xBlocks);
        atLeast(s.quantizedH, slots * hBlocks);
        atLeast(s.chosen, slots);
        atLeast(s.chosenWeights, slots);
        atLeast(s.assignments, slots);
        const size_t elements = size_t(a.tokens) * a.hidden;
        x = static_cast<const float*>(a.x);
        y = static_cast<float*>(a.y);
        if (a.type != ActivationType::kFloat32) {
            x = atLeast(s.x, elements);
            y = atLeast(s.y, elements);
        }
    }

    void run() {
        expertChunks = (a.experts + kExpertsPerTask - 1) / kExpertsPerTask;
        forEach<&Pass::prepareToken>(a.tokens);
        forEach<&Pass::routerLogits>(size_t(a.tokens) * expertChunks);
        forEach<&Pass::choose>(a.tokens);
        groupByExpert();
        forEach<&Pass::gateUp>(gateUpTasks);
        const int downTiles = a.hidden / kTileRows;
        forEach<&Pass::down>((downTiles + kDownTilesPerTask - 1) / kDownTilesPerTask);
        if (a.type != ActivationType::kFloat32) forEach<&Pass::storeToken>(a.tokens);
    }

  private:
    template <void (Pass::*kTask)(size_t)>
    void forEach(size_t count) {
        if (count == 1) return (this->*kTask)(0);
        parallelFor.run(parallelFor.pool, [](void* pass, size_t i) { (static_cast<Pass*>(pass)->*kTask)(i); }, count, this);
    }

    void prepareToken(size_t t) {
        const size_t first = t * a.hidden;
        if (a.type != ActivationType::kFloat32) {
            const uint16_t* half = static_cast<const uint16_t*>(a.x) + first;
            float* row = s.x.data() + first;
            const bool isFloat16 = a.type == ActivationType::kFloat16;
            for (int c = 0; c < a.hidden; c++) row[c] = isFloat16 ? floatFromHalf(half[c]) : floatFromBfloat16(half[c]);
        }
        lanes.quantize(x + first, xBlocks, middle, s.quantizedX.data() + t * xBlocks);
        std::memset(y + first, 0, sizeof(float) * a.hidden);
    }

    void routerLogits(size_t task) {
        const size_t t = task / expertChunks;
        const int first = int(task % expertChunks) * kExpertsPerTask;
        const int last = std::min(first + kExpertsPerTask, a.experts);
        const float* router = a.router + size_t(bankOf(t)) * a.experts * a.hidden;
        for (int e = first; e < last; e++)
            s.logits[t * a.experts + e] = lanes.dotFloat(x + t * a.hidden, router + size_t(e) * a.hidden, a.hidden);
    }

    // Softmax over the bank, the topK largest of probability + bias, weights renormalised.
    void choose(size_t t) {
        float* p = s.logits.data() + t * a.experts;
        const float* bias = a.correctionBias + size_t(bankOf(t)) * a.experts;
        const float largest = *std::max_element(p, p + a.experts);
        float sum = 0;
        for (int e = 0; e < a.experts; e++) sum += p[e] = std::exp(p[e] - largest);
        bool taken[kMaxExperts] = {};
        float chosenSum = 0;
        for (int k = 0; k < a.topK; k++) {
            int best = -1;
            for (int e = 0; e < a.experts; e++) {
                if (taken[e]) continue;
                // Some expert is found even if all scores are NaN.
                if (best < 0 || p[e] / sum + bias[e] > p[best] / sum + bias[best]) best = e;
            }
            taken[best] = true;
            s.chosen[t * a.topK + k] = best;
            if (a.chosen) a.chosen[t * a.topK + k] = rankOf(t, k);
            chosenSum += s.chosenWeights[t * a.topK + k] = p[best] / sum;
        }
        for (int k = 0; k < a.topK; k++) s.chosenWeights[t * a.topK + k] /= std::max(chosenSum, a.normMin);
    }

    void groupByExpert() {
        int starts[2 * kMaxExperts + 1] = {};
        for (int t = 0; t < a.tokens; t++)
            for (int k = 0; k < a.topK; k++) starts[rankOf(t, k) + 1]++;
        s.runs.clear();
        gateUpTasks = 0;
        for (int rank = 0; rank < 2 * a.experts; rank++) {
            const int count = starts[rank + 1];
            starts[rank + 1] += starts[rank];
            if (count == 0) continue;
            const int bank = rank / a.experts;
            s.runs.push_back({bank, rank % a.experts, starts[rank], starts[rank + 1], int(gateUpTasks)});
            gateUpTasks += a.banks[bank].width / kBlockColumns;
        }
        for (int t = 0; t < a.tokens; t++)
            for (int k = 0; k < a.topK; k++) s.assignments[starts[rankOf(t, k)]++] = {t, s.chosenWeights[t * a.topK + k]};
    }

    // Two gate and two up tiles make one block of 32 columns of h, for all tokens of the expert.
    void gateUp(size_t task) {
        const auto after = std::upper_bound(s.runs.begin(), s.runs.end(), int(task), [](int i, const ExpertRun& r) { return i < r.firstTask; });
        const ExpertRun& run = *(after - 1);
        const ExpertBank& bank = a.banks[run.bank];
        const int block = int(task) - run.firstTask;
        const size_t tile = size_t(run.expert) * 2 * bank.width / kTileRows + 4 * block;
        float out[4][kTokenGroup][kTileRows];  // gate, up, gate, up
        for (int first = run.first; first < run.last; first += kTokenGroup) {
            const int n = std::min(kTokenGroup, run.last - first);
            const ActivationBlock* rows[kTokenGroup];
            for (int i = 0; i < n; i++) rows[i] = s.quantizedX.data() + size_t(s.assignments[first + i].token) * xBlocks;
            for (int i = 0; i < 4; i++) dotTile(bank.gateUp, bank.gateUpScales, tile + i, xBlocks, rows, n, out[i][0]);
            for (int i = 0; i < n; i++) {
                float gate[32], up[32], h[32];
                for (int half = 0; half < 2; half++) {
                    std::memcpy(gate + 16 * half, out[2 * half][i], sizeof out[0][0]);
                    std::memcpy(up + 16 * half, out[2 * half + 1][i], sizeof out[0][0]);
                }
                lanes.swiglu(gate, up, h);
                lanes.quantize(h, 1, middle, s.quantizedH.data() + size_t(first + i) * hBlocks + block);
            }
        }
    }

    // A few tiles of y, over all experts.
    void down(size_t task) {
        const int firstTile = int(task) * kDownTilesPerTask;
        const int tiles = std::min(kDownTilesPerTask, a.hidden / kTileRows - firstTile);
        float out[kTokenGroup][kTileRows];
        for (const ExpertRun& run : s.runs) {
            const ExpertBank& bank = a.banks[run.bank];
            for (int first = run.first; first < run.last; first += kTokenGroup) {
                const int n = std::min(kTokenGroup, run.last - first);
                const ActivationBlock* rows[kTokenGroup];
                for (int i = 0; i < n; i++) rows[i] = s.quantizedH.data() + size_t(first + i) * hBlocks;
                for (int tile = firstTile; tile < firstTile + tiles; tile++) {
                    const size_t expertTile = size_t(run.expert) * a.hidden / kTileRows + tile;
                    dotTile(bank.down, bank.downScales, expertTile, bank.width / kBlockColumns, rows, n, out[0]);
                    for (int i = 0; i < n; i++) {
                        const Assignment& assignment = s.assignments[first + i];
                        lanes.addScaled(y + size_t(assignment.token) * a.hidden + tile * kTileRows, out[i], assignment.weight);
                    }
                }
            }
        }
    }

    void storeToken(size_t t) {
        const float* row = y + t * a.hidden;
        uint16_t* half = static_cast<uint16_t*>(a.y) + t * a.hidden;
        const bool isFloat16 = a.type == ActivationType::kFloat16;
        for (int c = 0; c < a.hidden; c++) half[c] = isFloat16 ? halfFromFloat(row[c]) : bfloat16FromFloat(row[c]);
    }

    void dotTile(const uint8_t* codes, const uint16_t* scales, size_t tile, int blocks, const ActivationBlock* const* rows, int n, float* out) const {
        const size_t block = tile * blocks;
        const auto dot = a.bits == 4 ? lanes.dot4 : lanes.dot8;
        dot(codes + block * 64 * a.bits, scales + block * kTileRows, blocks, rows, n, out);
    }

    int bankOf(size_t t) const { return a.visionExpert[t] ? 1 : 0; }
    int rankOf(size_t t, int k) const { return bankOf(t) * a.experts + s.chosen[t * a.topK + k]; }

    const ModalityMoe& a;
    const ParallelFor parallelFor;
    const CpuLanes& lanes;
    Scratch& s;
    const int middle;
    const float* x;  // [tokens, hidden]
    float* y;        // [tokens, hidden]
    int xBlocks, hBlocks, expertChunks;
    size_t gateUpTasks;
};

}  // namespace

CpuKernel bestCpuKernel() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512vnni");
    if (hasAvx2 && hasAvx512) return CpuKernel::kAvx512Vnni;
    if (hasAvx2) return CpuKernel::kAvx2;
#endif
    return CpuKernel::kPortable;
}

void modalityMoeCpu(const ModalityMoe& args, ParallelFor parallelFor, CpuKernel kernel) {
    thread_local Scratch scratch;
    const size_t elementBytes = args.type == ActivationType::kFloat32 ? 4 : 2;
    for (int first = 0; first < args.tokens; first += kTokensPerPass) {
        const size_t offset = size_t(first) * args.hidden * elementBytes;
        ModalityMoe part = args;
        part.tokens = std::min(kTokensPerPass, args.tokens - first);
        part.x = static_cast<const char*>(args.x) + offset;
        part.y = static_cast<char*>(args.y) + offset;
        part.visionExpert = args.visionExpert + first;
        if (args.chosen) part.chosen = args.chosen + size_t(first) * args.topK;
        Pass(part, parallelFor, kernel, scratch).run();
    }
}

}  // namespace ernie
