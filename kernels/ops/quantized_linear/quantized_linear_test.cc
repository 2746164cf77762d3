// Every instruction set of the CPU kernel against the reference: 1…300 tokens, both widths of weights, NaN and Inf, any number of threads.
// Built with sanitizers by scripts/kernels/test.mjs. Ends with "N passed, N failed".

#include <limits>

#include "../../common/cpu_test.h"
#include "quantized_linear.h"

using namespace ernie;

namespace {

// Activations are rounded to 15 bits per block of 32: 2e-5.
constexpr double kTolerance = 1e-4;

struct Case {
    std::mt19937_64 random;
    RandomMatrix weight;
    std::vector<float> x, y;

    Case(int rows, int columns, int bits, int tokens, uint64_t seed)
        : random(seed), weight(rows, columns, bits, random), x(randomFloats(size_t(tokens) * columns, random)), y(size_t(tokens) * rows, -1) {}

    QuantizedLinear args(int tokens) { return {y.data(), x.data(), ActivationType::kFloat32, weight.matrix, tokens}; }

    std::vector<double> run(CpuKernel kernel, const ParallelFor& parallelFor, int tokens) {
        std::fill(y.begin(), y.end(), -1.0f);
        quantizedLinearCpu(args(tokens), parallelFor, kernel);
        return {y.begin(), y.begin() + size_t(tokens) * weight.matrix.rows};
    }
};

void matchesReference() {
    const int sizes[][2] = {{16, 32}, {48, 96}, {32, 1024}, {272, 64}};
    for (const auto& [rows, columns] : sizes)
        for (const int bits : {4, 8}) {
            Case all(rows, columns, bits, 300, rows);
            quantizedLinearReference(all.args(300));
            const std::vector<double> wanted = doublesOf(all.y);
            for (const CpuKernel kernel : kernelsHere())
                for (const int tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 100, 300}) {
                    const std::vector<double> first(wanted.begin(), wanted.begin() + size_t(tokens) * rows);
                    const double error = relativeError(all.run(kernel, kThreads, tokens), first);
                    check(error < kTolerance, std::to_string(rows) + " × " + std::to_string(columns) + ", int" + std::to_string(bits) + ", kernel " +
                                                  std::to_string(int(kernel)) + ", " + std::to_string(tokens) + " tokens: relative error " + std::to_string(error));
                }
        }
}

void matchesReferenceInSeveralPasses() {
    Case large(16, 32, 8, 2100, 5);
    quantizedLinearReference(large.args(2100));
    const std::vector<double> wanted = doublesOf(large.y);
    check(relativeError(large.run(bestCpuKernel(), kThreads, 2100), wanted) < kTolerance, "several passes");
}

void roundsOnlyTheResultTo16Bits() {
    for (const ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16}) {
        Case wide(48, 96, 8, 33, 7);
        Activations x(type, wide.x.size()), y(type, wide.y.size()), wanted = y;
        for (size_t i = 0; i < wide.x.size(); i++) x.set(i, wide.x[i]);
        QuantizedLinear a{y.bytes.data(), x.bytes.data(), type, wide.weight.matrix, 33};
        quantizedLinearCpu(a, kThreads);
        a.y = wanted.bytes.data();
        quantizedLinearReference(a);
        check(worstError(y, wanted) <= toleranceOf(type), std::string("activations of ") + nameOf(type));
    }
}

void rotatesTheFirstRows() {
    const int heads[][2] = {{32, 3}, {8, 2}, {6, 9}, {96, 1}};  // rows of a head, heads
    for (const auto& [headDim, count] : heads)
        for (const int tokens : {1, 9, 1100}) {
            Case one(112, 32, 8, tokens, headDim);
            std::vector<float> angles = randomFloats(size_t(tokens) * headDim / 2, one.random), cosines = angles, sines = angles;
            for (size_t i = 0; i < angles.size(); i++) cosines[i] = std::cos(angles[i]), sines[i] = std::sin(angles[i]);
            QuantizedLinear a = one.args(tokens);
            a.rotation = {cosines.data(), sines.data(), headDim, headDim * count};
            quantizedLinearReference(a);
            const std::vector<double> wanted = doublesOf(one.y);
            quantizedLinearCpu(a, kThreads);
            const double error = relativeError(doublesOf(one.y), wanted);
            check(error < kTolerance, std::to_string(count) + " heads of " + std::to_string(headDim) + ", " + std::to_string(tokens) + " tokens: relative error " + std::to_string(error));
        }
}

void doesNotDependOnThreads() {
    for (const CpuKernel kernel : kernelsHere()) {
        Case wide(528, 256, 8, 19, 3);
        const std::vector<double> threads = wide.run(kernel, kThreads, 19);
        check(wide.run(kernel, kOneThread, 19) == threads, "one thread gives the same bits");
        check(wide.run(kernel, kOneThread, 1) == std::vector<double>(threads.begin(), threads.begin() + 528), "a token alone gives the same bits");
    }
}

void keepsBadNumbersToTheirToken() {
    for (const CpuKernel kernel : kernelsHere())
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY, 3e38f, 1e-40f}) {
            Case few(32, 64, 4, 5, 9);
            const std::vector<double> clean = few.run(kernel, kThreads, 5);
            few.x[2 * 64 + 33] = bad;
            const std::vector<double> dirty = few.run(kernel, kThreads, 5);
            for (size_t i = 0; i < clean.size(); i++)
                if (i / 32 != 2) check(clean[i] == dirty[i], "other tokens beside " + std::to_string(bad));
            if (!std::isfinite(bad)) check(std::isnan(dirty[2 * 32]), "NaN comes out of " + std::to_string(bad));
        }
}

}  // namespace

int main() {
    matchesReference();
    matchesReferenceInSeveralPasses();
    roundsOnlyTheResultTo16Bits();
    rotatesTheFirstRows();
    doesNotDependOnThreads();
    keepsBadNumbersToTheirToken();
    return report();
}
