// CPU kernel: route, group the tokens by expert, gate and up with SwiGLU, down. Every needed expert is read once per pass;
// tasks write disjoint memory and add up in a fixed order, so results do not depend on the number of threads.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "../../common/cpu_gated.h"
#include "../../common/elements.h"
#include "../../common/parallel.h"
#include "modality_moe.h"

namespace ernie {
namespace {

constexpr int kTokensPerPass = 1024;   // bounds scratch memory: 40 MB at 28B sizes
constexpr int kExpertsPerTask = 16;    // router rows
constexpr int kDownTilesPerTask = 2;

struct Assignment {
    int token;
    float weight;
};

// Assignments first…last−1 of the pass belong to this expert; the shared ones are an expert with all tokens.
struct ExpertRun {
    TiledMatrix gateUp, down;
    size_t firstGateUpTile, firstDownTile;
    const ActivationBlock* x;  // of all tokens, for codes of as many bits
    int first, last;
    int firstTask;  // of the gate and up phase: one task per block of 32 intermediate columns
    size_t firstH;  // where its hidden states start

    int hBlocks() const { return down.columns / kBlockColumns; }
};

// Kept by each calling thread, shared by all layers.
struct Scratch {
    std::vector<float> x, y, logits;
    std::vector<ActivationBlock> quantizedX, sharedX, quantizedH;
    std::vector<int> chosen;
    std::vector<float> chosenWeights;
    std::vector<Assignment> assignments;
    std::vector<ExpertRun> runs;
};

// At most kTokensPerPass tokens of one call.
class Pass {
  public:
    Pass(const ModalityMoe& args, ParallelFor parallelFor, CpuKernel kernel, Scratch& scratch)
        : a(args), parallelFor(parallelFor), lanes(lanesOf(kernel)), s(scratch), middle(gateUpOf(args, args.banks[0]).middle()) {
        xBlocks = a.hidden / kBlockColumns;
        const size_t slots = size_t(a.tokens) * a.topK;
        atLeast(s.logits, size_t(a.tokens) * a.experts);
        atLeast(s.quantizedX, size_t(a.tokens) * xBlocks);
        if (hasSharedX()) atLeast(s.sharedX, size_t(a.tokens) * xBlocks);
        atLeast(s.chosen, slots);
        atLeast(s.chosenWeights, slots);
        atLeast(s.assignments, slots + a.tokens);
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
        const size_t tokens = a.tokens, routerBytes = tokens * a.experts * a.hidden * sizeof(float);
        forEach(parallelFor, tokens, tokens * a.hidden * sizeof(float), [this](size_t t) { prepareToken(t); });
        forEach(parallelFor, tokens * expertChunks, routerBytes, [this](size_t task) { routerLogits(task); });
        forEach(parallelFor, tokens, tokens * a.experts * a.topK * sizeof(float), [this](size_t t) { choose(t); });
        groupByExpert();
        forEach(parallelFor, gateUpTasks, 2 * downBytes, [this](size_t task) { gateUp(task); });
        const int downTiles = a.hidden / kTileRows;
        forEach(parallelFor, (downTiles + kDownTilesPerTask - 1) / kDownTilesPerTask, downBytes, [this](size_t task) { down(task); });
        if (a.type != ActivationType::kFloat32) forEach(parallelFor, tokens, tokens * a.hidden * 2, [this](size_t t) { storeToken(t); });
    }

  private:
    void prepareToken(size_t t) {
        const size_t first = t * a.hidden;
        if (a.type != ActivationType::kFloat32) {
            withElementType(a.type, [&](auto element) {
                const auto* row = static_cast<const decltype(element)*>(a.x) + first;
                std::copy(row, row + a.hidden, s.x.data() + first);
            });
        }
        lanes.quantize(x + first, xBlocks, middle, s.quantizedX.data() + t * xBlocks);
        if (hasSharedX()) lanes.quantize(x + first, xBlocks, a.sharedGateUp.middle(), s.sharedX.data() + t * xBlocks);
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
        gateUpTasks = downBytes = hiddenBlocks = 0;
        for (int rank = 0; rank < 2 * a.experts; rank++) {
            const int count = starts[rank + 1];
            starts[rank + 1] += starts[rank];
            if (count == 0) continue;
            const ExpertBank& bank = a.banks[rank / a.experts];
            const size_t expert = rank % a.experts;
            addRun({gateUpOf(a, bank), downOf(a, bank), expert * 2 * bank.width / kTileRows, expert * a.hidden / kTileRows, s.quantizedX.data(), starts[rank], starts[rank + 1], 0, 0});
        }
        for (int t = 0; t < a.tokens; t++)
            for (int k = 0; k < a.topK; k++) s.assignments[starts[rankOf(t, k)]++] = {t, s.chosenWeights[t * a.topK + k]};
        if (a.hasShared()) {
            const int first = a.tokens * a.topK;
            for (int t = 0; t < a.tokens; t++) s.assignments[first + t] = {t, 1};
            addRun({a.sharedGateUp, a.sharedDown, 0, 0, hasSharedX() ? s.sharedX.data() : s.quantizedX.data(), first, first + a.tokens, 0, 0});
        }
        atLeast(s.quantizedH, hiddenBlocks);
    }

    void addRun(ExpertRun run) {
        const size_t count = run.last - run.first;
        run.firstTask = int(gateUpTasks);
        run.firstH = hiddenBlocks;
        s.runs.push_back(run);
        gateUpTasks += run.hBlocks();
        hiddenBlocks += count * run.hBlocks();
        downBytes += size_t(a.hidden) * run.down.columns * run.down.bits / 8 * ((count + kTokenGroup - 1) / kTokenGroup);
    }

    // One block of h, for all tokens of the expert.
    void gateUp(size_t task) {
        const auto after = std::upper_bound(s.runs.begin(), s.runs.end(), int(task), [](int i, const ExpertRun& r) { return i < r.firstTask; });
        const ExpertRun& run = *(after - 1);
        const int block = int(task) - run.firstTask;
        for (int first = run.first; first < run.last; first += kTokenGroup) {
            const int n = std::min(kTokenGroup, run.last - first);
            const ActivationBlock* rows[kTokenGroup];
            ActivationBlock* h[kTokenGroup];
            for (int i = 0; i < n; i++) {
                rows[i] = run.x + size_t(s.assignments[first + i].token) * xBlocks;
                h[i] = hiddenStateOf(run, first + i) + block;
            }
            gatedBlock(lanes, run.gateUp, run.firstGateUpTile, block, rows, n, h);
        }
    }

    // A few tiles of y, over all experts.
    void down(size_t task) {
        const int firstTile = int(task) * kDownTilesPerTask;
        const int tiles = std::min(kDownTilesPerTask, a.hidden / kTileRows - firstTile);
        float out[kTokenGroup][kTileRows];
        for (const ExpertRun& run : s.runs) {
            for (int first = run.first; first < run.last; first += kTokenGroup) {
                const int n = std::min(kTokenGroup, run.last - first);
                const ActivationBlock* rows[kTokenGroup];
                for (int i = 0; i < n; i++) rows[i] = hiddenStateOf(run, first + i);
                for (int tile = firstTile; tile < firstTile + tiles; tile++) {
                    lanes.dotTile(run.down, run.firstDownTile + tile, rows, n, out[0]);
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
        withElementType(a.type, [&](auto element) { std::copy(row, row + a.hidden, static_cast<decltype(element)*>(a.y) + t * a.hidden); });
    }

    // Shared experts of other bits want activations of their own: an ActivationBlock knows the codes' zero point.
    bool hasSharedX() const { return a.hasShared() && a.sharedGateUp.bits != a.bits; }
    ActivationBlock* hiddenStateOf(const ExpertRun& run, int assignment) const { return s.quantizedH.data() + run.firstH + size_t(assignment - run.first) * run.hBlocks(); }
    int bankOf(size_t t) const { return a.visionExpert[t] ? 1 : 0; }
    int rankOf(size_t t, int k) const { return bankOf(t) * a.experts + s.chosen[t * a.topK + k]; }

    const ModalityMoe& a;
    const ParallelFor parallelFor;
    const CpuLanes& lanes;
    Scratch& s;
    const int middle;
    const float* x;  // [tokens, hidden]
    float* y;        // [tokens, hidden]
    int xBlocks, expertChunks;
    size_t gateUpTasks, downBytes, hiddenBlocks;  // bytes as often as they are read
};

}  // namespace

void modalityMoeCpu(const ModalityMoe& args, ParallelFor parallelFor, CpuKernel kernel) {
    thread_local Scratch scratch;
    for (int first = 0; first < args.tokens; first += kTokensPerPass) {
        const size_t offset = size_t(first) * args.hidden * elementBytes(args.type);
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
