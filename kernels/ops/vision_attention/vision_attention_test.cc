// Every instruction set of the CPU kernel against the reference: patches around the blocks and tasks, head sizes that fill no vector, sharp and flat attention, NaN and Inf.
// Built with sanitizers by scripts/kernels/test.mjs. Ends with "N passed, N failed".

#include <algorithm>
#include <limits>

#include "../../common/cpu_test.h"
#include "vision_attention.h"

using namespace ernie;

namespace {

// v is rounded to 12 bits of the largest of 64 keys, probabilities to 13 bits of the largest: together 4e-4 of normal values (one rounding to fp16: 2e-4). q and k are rounded to
// almost 12 bits, which moves a score by 2e-4 of the largest there could be: it counts where scores are large.
constexpr double kTolerance = 6e-4, kSharpTolerance = 2e-3;

struct Case {
    int frames, patches, heads, headDim;
    std::vector<float> qkv, cosines, sines, y;

    Case(int frames, int patches, int heads, int headDim, uint64_t seed, float gain = 1) : frames(frames), patches(patches), heads(heads), headDim(headDim) {
        std::mt19937_64 random(seed);
        qkv = randomFloats(size_t(frames) * patches * 3 * heads * headDim, random);
        for (size_t i = 0; i < qkv.size(); i++)
            if (i / (size_t(heads) * headDim) % 3 != 2) qkv[i] *= gain;  // q and k
        for (const float angle : randomFloats(size_t(patches) * headDim / 2, random)) cosines.push_back(std::cos(angle)), sines.push_back(std::sin(angle));
        y.resize(qkv.size() / 3);
    }

    VisionAttention args() { return {y.data(), qkv.data(), cosines.data(), sines.data(), frames, patches, heads, headDim}; }
    float& at(int patch, int part, int head, int channel) { return qkv[((size_t(patch) * 3 + part) * heads + head) * headDim + channel]; }  // of the first frame

    std::vector<double> reference() {
        visionAttentionReference(args());
        return doublesOf(y);
    }

    std::vector<double> run(CpuKernel kernel, const ParallelFor& parallelFor) {
        std::fill(y.begin(), y.end(), std::numeric_limits<float>::quiet_NaN());
        visionAttentionCpu(args(), parallelFor, kernel);
        return doublesOf(y);
    }

    std::string name() const { return std::to_string(frames) + " frames of " + std::to_string(patches) + " patches, " + std::to_string(heads) + " heads of " + std::to_string(headDim); }
};

void expectClose(Case& one, double tolerance, const std::string& what) {
    const std::vector<double> wanted = one.reference();
    for (const CpuKernel kernel : kernelsHere()) {
        const double error = relativeError(one.run(kernel, kThreads), wanted);
        check(error < tolerance, what + ", kernel " + std::to_string(int(kernel)) + ", " + one.name() + ": relative error " + std::to_string(error));
    }
}

void matchesReference() {
    for (const int patches : {1, 4, 12, 47, 48, 49, 63, 64, 65, 100, 200})
        for (const int headDim : {2, 24, 80}) {
            Case one(2, patches, 3, headDim, patches + headDim);
            expectClose(one, kTolerance, "normal values");
        }
    Case widest(1, 130, 1, 128, 3);
    expectClose(widest, kTolerance, "widest heads");
    Case sharp(1, 200, 2, 80, 5, 4);  // scores up to about 60: nearly all of a patch's weight is on one other
    expectClose(sharp, kSharpTolerance, "sharp attention");
    Case flat(1, 200, 2, 80, 6, 0);
    expectClose(flat, kTolerance, "equal weights");
    Case rising(1, 300, 1, 16, 8);  // each block's best score is beyond all before it
    for (int patch = 0; patch < 300; patch++)
        for (int i = 0; i < 16; i++) rising.at(patch, 0, 0, i) = 1, rising.at(patch, 1, 0, i) = 0.01f * patch;
    std::fill(rising.cosines.begin(), rising.cosines.end(), 1.0f);
    std::fill(rising.sines.begin(), rising.sines.end(), 0.0f);
    expectClose(rising, kSharpTolerance, "scores that rise");
}

// One patch has half the weight, and the other half is spread over so many that each is below what an integer of 13 bits tells of the largest.
void keepsManySmallWeights() {
    Case one(1, 2000, 1, 16, 9, 0);
    std::fill(one.cosines.begin(), one.cosines.end(), 1.0f);
    std::fill(one.sines.begin(), one.sines.end(), 0.0f);
    for (int patch = 0; patch < 2000; patch++) one.at(patch, 0, 0, 0) = 4, one.at(patch, 2, 0, 1) = patch == 70 ? -1 : 1;
    one.at(70, 1, 0, 0) = std::log(2000.0f);  // its score beside 0 of the others: q · k / √16
    expectClose(one, kTolerance, "one large and many small weights");
    check(std::fabs(one.y[1]) < 1e-3, "half and half cancel: " + std::to_string(one.y[1]));
}

void doesNotDependOnThreads() {
    for (const CpuKernel kernel : kernelsHere()) {
        Case one(2, 150, 3, 24, 3);
        check(one.run(kernel, kThreads) == one.run(kernel, kOneThread), "one thread gives the same bits");
        Case alone(1, 150, 3, 24, 3);
        std::copy_n(one.qkv.begin() + alone.qkv.size(), alone.qkv.size(), alone.qkv.begin());
        alone.cosines = one.cosines, alone.sines = one.sines;
        const std::vector<double> both = one.run(kernel, kThreads);
        check(alone.run(kernel, kThreads) == std::vector<double>(both.begin() + alone.y.size(), both.end()), "a frame alone gives the same bits");
    }
}

// More heads than there is scratch memory for at once.
void takesHeadsInTurns() {
    const int patches = 130, heads = 100, headDim = 128, last = heads - 1;
    Case one(1, patches, heads, headDim, 4);
    Case alone(1, patches, 1, headDim, 4);
    alone.cosines = one.cosines, alone.sines = one.sines;
    for (int patch = 0; patch < patches; patch++)
        for (int part = 0; part < 3; part++)
            for (int i = 0; i < headDim; i++) alone.at(patch, part, 0, i) = one.at(patch, part, last, i);
    const std::vector<double> all = one.run(bestCpuKernel(), kThreads), wanted = alone.run(bestCpuKernel(), kThreads);
    bool isSame = true;
    for (int patch = 0; patch < patches; patch++)
        for (int i = 0; i < headDim; i++) isSame = isSame && all[(size_t(patch) * heads + last) * headDim + i] == wanted[size_t(patch) * headDim + i];
    check(isSame, "the last head has the bits that it has alone");
}

void keepsBadNumbersWhereTheyBelong() {
    const int patches = 100, heads = 2, headDim = 24, hidden = heads * headDim;
    for (const CpuKernel kernel : kernelsHere())
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY})
            for (const int part : {0, 1, 2}) {
                Case one(2, patches, heads, headDim, 7);
                const std::vector<double> clean = one.run(kernel, kThreads);
                one.at(70, part, 1, 5) = bad;
                const std::vector<double> dirty = one.run(kernel, kThreads);
                bool isRight = true;
                for (int patch = 0; patch < 2 * patches; patch++)
                    for (int i = 0; i < hidden; i++) {
                        const bool isInHead = patch < patches && i >= headDim;
                        const bool isHit = isInHead && (part == 0 ? patch == 70 : part == 1 || i == headDim + 5);
                        const size_t at = size_t(patch) * hidden + i;
                        isRight = isRight && (isHit ? std::isnan(dirty[at]) : dirty[at] == clean[at]);
                    }
                check(isRight, std::to_string(bad) + " in part " + std::to_string(part) + " is NaN where it belongs, and nowhere else");
            }
    for (const CpuKernel kernel : kernelsHere())
        for (const float size : {3e38f, 1e19f, 1e-40f}) {
            Case extreme(1, 70, 1, 16, 2, size);
            extreme.run(kernel, kThreads);
            check(true, "ends");
        }
}

}  // namespace

int main() {
    matchesReference();
    keepsManySmallWeights();
    doesNotDependOnThreads();
    takesHeadsInTurns();
    keepsBadNumbersWhereTheyBelong();
    return report();
}
