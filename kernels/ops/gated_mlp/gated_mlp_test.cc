// Every instruction set of the CPU kernel against the reference: token counts around the groups, both widths of weights, activations of every type, NaN and Inf.
// Built with sanitizers by scripts/kernels/test.mjs. Ends with "N passed, N failed".

#include <limits>

#include "../../common/cpu_test.h"
#include "gated_mlp.h"

using namespace ernie;

namespace {

// x and h are rounded to 15 bits per block of 32: 2e-5 each, together 5e-5 of y, and up to 2e-4 of a single token's 32 outputs, where they nearly
// cancel.
constexpr double kTolerance = 2e-4;

struct Case {
    std::mt19937_64 random;
    RandomMatrix gateUp, down;
    std::vector<float> x, y;

    Case(int hidden, int width, int bits, int tokens, uint64_t seed)
        : random(seed),
          gateUp(2 * width, hidden, bits, random),
          down(hidden, width, bits, random),
          x(randomFloats(size_t(tokens) * hidden, random)),
          y(size_t(tokens) * hidden, -1) {}

    GatedMlp args(int tokens) { return {y.data(), x.data(), ActivationType::kFloat32, gateUp.matrix, down.matrix, tokens}; }

    std::vector<double> reference(int tokens) {
        gatedMlpReference(args(tokens));
        return {y.begin(), y.begin() + size_t(tokens) * down.matrix.rows};
    }

    std::vector<double> run(CpuKernel kernel, const ParallelFor& parallelFor, int tokens) {
        std::fill(y.begin(), y.end(), -1.0f);
        gatedMlpCpu(args(tokens), parallelFor, kernel);
        return {y.begin(), y.begin() + size_t(tokens) * down.matrix.rows};
    }
};

void matchesReference() {
    const int sizes[][2] = {{32, 32}, {64, 96}, {96, 256}, {256, 64}};
    for (const auto& [hidden, width] : sizes)
        for (const int bits : {4, 8})
            for (const int tokens : {1, 2, 7, 8, 9, 33, 300}) {
                Case one(hidden, width, bits, tokens, hidden + tokens);
                const std::vector<double> wanted = one.reference(tokens);
                for (const CpuKernel kernel : kernelsHere()) {
                    const double error = relativeError(one.run(kernel, kThreads, tokens), wanted);
                    check(error < kTolerance, "hidden " + std::to_string(hidden) + ", width " + std::to_string(width) + ", int" + std::to_string(bits) + ", kernel " + std::to_string(int(kernel)) + ", " +
                                                  std::to_string(tokens) + " tokens: relative error " + std::to_string(error));
                }
            }
    Case large(32, 32, 8, 2100, 5);
    const std::vector<double> wanted = large.reference(2100);
    check(relativeError(large.run(bestCpuKernel(), kThreads, 2100), wanted) < kTolerance, "several passes");
}

void roundsOnlyTheResultTo16Bits() {
    for (const ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16}) {
        Case one(64, 96, 8, 33, 7);
        Activations x(type, one.x.size()), y = x, wanted = x;
        for (size_t i = 0; i < one.x.size(); i++) x.set(i, one.x[i]);
        GatedMlp a{y.bytes.data(), x.bytes.data(), type, one.gateUp.matrix, one.down.matrix, 33};
        gatedMlpCpu(a, kThreads);
        a.y = wanted.bytes.data();
        gatedMlpReference(a);
        check(worstError(y, wanted) <= toleranceOf(type), std::string("activations of ") + nameOf(type));
    }
}

void doesNotDependOnThreadsOrTheBatch() {
    for (const CpuKernel kernel : kernelsHere()) {
        Case wide(256, 512, 4, 21, 3);
        const std::vector<double> together = wide.run(kernel, kThreads, 21);
        check(wide.run(kernel, kOneThread, 21) == together, "one thread gives the same bits");
        const std::vector<double> alone = wide.run(kernel, kThreads, 1);
        check(alone == std::vector<double>(together.begin(), together.begin() + 256), "a token alone gives the same bits");
    }
}

void keepsBadNumbersToTheirToken() {
    for (const CpuKernel kernel : kernelsHere())
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY, 3e38f, 1e-40f}) {
            Case few(64, 32, 4, 5, 9);
            const std::vector<double> clean = few.run(kernel, kThreads, 5);
            few.x[2 * 64 + 33] = bad;
            const std::vector<double> dirty = few.run(kernel, kThreads, 5);
            for (size_t i = 0; i < clean.size(); i++)
                if (i / 64 != 2) check(clean[i] == dirty[i], "other tokens beside " + std::to_string(bad));
            if (!std::isfinite(bad)) check(std::isnan(dirty[2 * 64]), "NaN comes out of " + std::to_string(bad));
        }
}

}  // namespace

int main() {
    matchesReference();
    roundsOnlyTheResultTo16Bits();
    doesNotDependOnThreadsOrTheBatch();
    keepsBadNumbersToTheirToken();
    return report();
}
