// Every instruction set of the CPU kernel against the reference: 1…300 tokens, every mix of banks, both weight widths, all
// activation types, ties, NaN and Inf, several callers at once. Needs no ONNX Runtime; built with sanitizers by
// scripts/kernels/test.mjs. Ends with "N passed, N failed".

#include <atomic>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../common/cpu_test.h"
#include "modality_moe.h"

using namespace ernie;

namespace {

struct Sizes {
    int hidden, experts, topK, widths[2], bits, sharedWidth = 0, sharedBits = 8;
};

// A layer with random weights and the activations of one call; owns what ModalityMoe points at. Buffers have their exact size,
// so that the address sanitizer sees any read beyond them.
struct Layer {
    ModalityMoe args{};
    std::vector<uint8_t> codes[4], x, y, visionExpert;
    std::vector<uint16_t> scales[4];
    std::vector<float> router, correctionBias;
    std::unique_ptr<RandomMatrix> sharedGateUp, sharedDown;

    Layer(const Sizes& sizes, ActivationType type, int tokens, double visionShare, uint64_t seed) {
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal;
        for (int i = 0; i < 4; i++) {
            const size_t weights = size_t(sizes.experts) * sizes.widths[i / 2] * sizes.hidden * (i % 2 ? 1 : 2);
            codes[i].resize(weights * sizes.bits / 8);
            for (uint8_t& code : codes[i]) code = uint8_t(random());
            scales[i].resize(weights / kBlockColumns);
            for (uint16_t& scale : scales[i]) scale = halfFromFloat(normal(random) * (sizes.bits == 4 ? 0.03f : 0.002f));
        }
        router.resize(size_t(2) * sizes.experts * sizes.hidden);
        for (float& value : router) value = normal(random) * 0.1f;
        correctionBias.resize(size_t(2) * sizes.experts);
        for (float& value : correctionBias) value = normal(random) * 0.1f;
        visionExpert.resize(tokens);
        for (uint8_t& flag : visionExpert) flag = std::uniform_real_distribution<>(0, 1)(random) < visionShare;
        x.resize(size_t(tokens) * sizes.hidden * elementBytes(type));
        y.assign(x.size(), 0xee);
        args = {y.data(), x.data(), visionExpert.data(), router.data(), correctionBias.data(), {}, type, tokens,
                sizes.hidden, sizes.experts, sizes.topK, sizes.bits, 1e-12f};
        for (int b = 0; b < 2; b++) {
            const int i = 2 * b;
            args.banks[b] = {codes[i].data(), scales[i].data(), codes[i + 1].data(), scales[i + 1].data(), sizes.widths[b]};
        }
        for (size_t i = 0; i < size_t(tokens) * sizes.hidden; i++) setX(i, normal(random));
        if (sizes.sharedWidth == 0) return;
        sharedGateUp = std::make_unique<RandomMatrix>(2 * sizes.sharedWidth, sizes.hidden, sizes.sharedBits, random);
        sharedDown = std::make_unique<RandomMatrix>(sizes.hidden, sizes.sharedWidth, sizes.sharedBits, random);
        args.sharedGateUp = sharedGateUp->matrix;
        args.sharedDown = sharedDown->matrix;
    }

    void setX(size_t index, float value) {
        if (args.type == ActivationType::kFloat32) reinterpret_cast<float*>(x.data())[index] = value;
        if (args.type == ActivationType::kFloat16) reinterpret_cast<uint16_t*>(x.data())[index] = halfFromFloat(value);
        if (args.type == ActivationType::kBfloat16) reinterpret_cast<uint16_t*>(x.data())[index] = bfloat16FromFloat(value);
    }

    std::vector<double> output() const {
        std::vector<double> values(size_t(args.tokens) * args.hidden);
        for (size_t i = 0; i < values.size(); i++) {
            if (args.type == ActivationType::kFloat32) values[i] = reinterpret_cast<const float*>(y.data())[i];
            if (args.type == ActivationType::kFloat16) values[i] = floatFromHalf(reinterpret_cast<const uint16_t*>(y.data())[i]);
            if (args.type == ActivationType::kBfloat16) values[i] = floatFromBfloat16(reinterpret_cast<const uint16_t*>(y.data())[i]);
        }
        return values;
    }

    std::vector<double> reference() {
        modalityMoeReference(args);
        return output();
    }

    std::vector<double> kernel(CpuKernel kernel, ParallelFor parallelFor) {
        y.assign(y.size(), 0xee);
        modalityMoeCpu(args, parallelFor, kernel);
        return output();
    }
};

// Activations and h are rounded to 15 bits per block of 32 (2e-5 each); y to its own type.
double tolerance(ActivationType type) {
    return type == ActivationType::kFloat32 ? 1e-4 : type == ActivationType::kFloat16 ? 4e-4 : 3e-3;
}

std::string describe(const Sizes& s, ActivationType type, int tokens, double visionShare, CpuKernel kernel) {
    return "kernel " + std::to_string(int(kernel)) + ", int" + std::to_string(s.bits) + ", type " + std::to_string(int(type)) + ", hidden " +
           std::to_string(s.hidden) + ", " + std::to_string(tokens) + " tokens, vision share " + std::to_string(visionShare);
}

void compare(const Sizes& sizes, ActivationType type, int tokens, double visionShare, uint64_t seed) {
    Layer layer(sizes, type, tokens, visionShare, seed);
    const std::vector<double> wanted = layer.reference();
    for (const CpuKernel kernel : kernelsHere()) {
        const double error = relativeError(layer.kernel(kernel, kThreads), wanted);
        check(error < tolerance(type), describe(sizes, type, tokens, visionShare, kernel) + ": relative error " + std::to_string(error));
    }
}

void matchesReference() {
    const Sizes small4{64, 8, 3, {64, 32}, 4, 96}, small8{64, 8, 3, {64, 32}, 8}, odd{96, 5, 5, {32, 96}, 4, 32, 4}, wide{32, 128, 8, {32, 32}, 8, 64};
    for (const double visionShare : {0.0, 0.5, 1.0})
        for (const int tokens : {1, 2, 3, 7, 8, 9, 16, 17, 33, 100, 300})
            for (const Sizes& sizes : {small4, small8, odd}) compare(sizes, ActivationType::kFloat32, tokens, visionShare, tokens);
    for (const ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16})
        for (const Sizes& sizes : {small4, wide}) compare(sizes, type, 21, 0.3, 5);
    compare(small4, ActivationType::kFloat32, 1500, 0.2, 9);  // more than one pass
}

// The first 1, 2, … 300 tokens of a layer, without any of one bank and with all mixes in between.
void matchesReferenceAtEveryCount() {
    constexpr int kMost = 300;
    const Sizes sizes{32, 4, 2, {32, 64}, 4};
    for (const double visionShare : {0.0, 0.5, 1.0}) {
        Layer layer(sizes, ActivationType::kFloat32, kMost, visionShare, 11);
        const std::vector<double> wanted = layer.reference();
        for (const CpuKernel kernel : kernelsHere())
            for (int tokens = 1; tokens <= kMost; tokens++) {
                layer.args.tokens = tokens;
                const std::vector<double> first(wanted.begin(), wanted.begin() + tokens * sizes.hidden);
                const double error = relativeError(layer.kernel(kernel, kOneThread), first);
                check(error < tolerance(ActivationType::kFloat32), describe(sizes, ActivationType::kFloat32, tokens, visionShare, kernel) + ": relative error " + std::to_string(error));
            }
    }
}

// A token's result must not depend on what else is in the batch, nor on the number of threads.
void isTheSameInAnyBatch() {
    const Sizes sizes{64, 8, 3, {64, 32}, 4, 96};
    for (const CpuKernel kernel : kernelsHere()) {
        Layer layer(sizes, ActivationType::kFloat32, 37, 0.4, 3);
        const std::vector<double> together = layer.kernel(kernel, kThreads);
        check(layer.kernel(kernel, kOneThread) == together, "one thread gives the same bits");
        const ModalityMoe all = layer.args;
        for (int t = 0; t < all.tokens; t++) {
            layer.args.tokens = 1;
            layer.args.x = static_cast<const float*>(all.x) + size_t(t) * sizes.hidden;
            layer.args.visionExpert = all.visionExpert + t;
            const std::vector<double> alone = layer.kernel(kernel, kThreads);
            const auto ofToken = together.begin() + size_t(t) * sizes.hidden;
            const double error = relativeError({alone.begin(), alone.begin() + sizes.hidden}, {ofToken, ofToken + sizes.hidden});
            check(error < 1e-5, "token " + std::to_string(t) + " alone, difference " + std::to_string(error));
        }
    }
}

// Equal experts and equal scores: the lower index wins, so experts 0…topK−1 are taken whatever the others hold.
void breaksTiesDownwards() {
    const Sizes sizes{32, 8, 3, {32, 32}, 8};
    for (const CpuKernel kernel : kernelsHere()) {
        Layer layer(sizes, ActivationType::kFloat32, 4, 0.5, 1);
        std::fill(layer.router.begin(), layer.router.end(), 0.0f);
        std::fill(layer.correctionBias.begin(), layer.correctionBias.end(), 0.25f);
        const std::vector<double> before = layer.kernel(kernel, kThreads);
        for (int i = 0; i < 4; i++)
            for (size_t j = layer.scales[i].size() * sizes.topK / sizes.experts; j < layer.scales[i].size(); j++) layer.scales[i][j] = 0;
        check(layer.kernel(kernel, kThreads) == before, "ties go to the lower index");
        check(relativeError(before, layer.reference()) < 1e-4, "ties as in the reference");
    }
}

void survivesBadNumbers() {
    const Sizes sizes{64, 8, 3, {64, 32}, 4, 96};
    const float bad[] = {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY, 3e38f, 1e-40f};
    for (const CpuKernel kernel : kernelsHere()) {
        for (const float value : bad) {
            Layer layer(sizes, ActivationType::kFloat32, 11, 0.5, 2);
            const std::vector<double> clean = layer.kernel(kernel, kThreads);
            for (int c = 0; c < 3; c++) layer.setX(size_t(5) * sizes.hidden + 20 * c, value);
            const std::vector<double> dirty = layer.kernel(kernel, kThreads);
            bool isKept = true;
            for (size_t i = 0; i < clean.size(); i++)
                if (int(i) / sizes.hidden != 5) isKept = isKept && std::fabs(clean[i] - dirty[i]) < 1e-5;
            check(isKept, "other tokens beside " + std::to_string(value));
            if (!std::isfinite(value)) check(std::isnan(dirty[5 * sizes.hidden]), "NaN comes out of " + std::to_string(value));
        }
        Layer layer(sizes, ActivationType::kFloat32, 3, 0.5, 2);
        std::fill(layer.router.begin(), layer.router.end(), NAN);
        layer.kernel(kernel, kThreads);  // must end
        std::fill(layer.x.begin(), layer.x.end(), uint8_t(0));
        std::fill(layer.router.begin(), layer.router.end(), 0.0f);
        for (const double value : layer.kernel(kernel, kThreads)) check(value == 0, "zeros give zeros");
    }
}

void servesSeveralCallers() {
    const Sizes sizes{64, 8, 3, {64, 32}, 4};
    std::vector<std::thread> callers;
    std::atomic<int> wrong{0};
    for (int caller = 0; caller < 4; caller++) {
        callers.emplace_back([&, caller] {
            for (int round = 0; round < 10; round++) {
                Layer layer(sizes, ActivationType::kFloat32, 1 + 13 * caller + round, 0.5, caller * 100 + round);
                const std::vector<double> got = layer.kernel(bestCpuKernel(), kThreads);
                if (relativeError(got, layer.reference()) > 1e-4) wrong++;
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
    check(wrong == 0, "several callers at once");
}

void roundsHalves() {
    for (int bits = 0; bits < 0x10000; bits++) {
        const uint16_t half = uint16_t(bits);
        const float value = floatFromHalf(half), wide = floatFromBfloat16(half);
        if (std::isnan(value) || std::isnan(wide)) continue;
        if (halfFromFloat(value) != half || bfloat16FromFloat(wide) != half) return check(false, "16-bit floats round trip");
    }
    check(halfFromFloat(65520) == 0x7c00 && halfFromFloat(65519) == 0x7bff, "float16 overflows from 65520 on");
    check(halfFromFloat(1 + 0x1p-11f) == 0x3c00 && halfFromFloat(1 + 0x1.8p-10f) == 0x3c02, "ties to even");
}

}  // namespace

int main() {
    roundsHalves();
    matchesReference();
    matchesReferenceAtEveryCount();
    isTheSameInAnyBatch();
    breaksTiesDownwards();
    survivesBadNumbers();
    servesSeveralCallers();
    return report();
}
