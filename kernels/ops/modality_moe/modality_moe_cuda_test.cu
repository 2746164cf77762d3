// Tests the CUDA kernels against the reference, on a GPU or, compiled with ERNIE_CUDA_EMULATOR, on the CPU (fewer cases).
// NOTES-cuda.md has the commands. `--bench` (GPU only): modality_moe_cuda_bench.cuh. `--brief`: the cases of the CPU.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "modality_moe_cuda_case.cuh"
#ifndef ERNIE_CUDA_EMULATOR
#include "modality_moe_cuda_bench.cuh"
#endif

namespace {

using namespace ernie;

int failures = 0, checks = 0;

void check(bool condition, const char* what) {
    checks++;
    if (condition) return;
    failures++;
    std::printf("FAILED: %s\n", what);
}

// Largest error, in units of the larger of |reference| and the row's root mean square.
double worstError(const std::vector<float>& y, const std::vector<float>& reference, int hidden) {
    double worst = 0;
    for (size_t row = 0; row < y.size(); row += hidden) {
        double square = 0;
        for (int c = 0; c < hidden; c++) square += double(reference[row + c]) * reference[row + c];
        const double rms = std::sqrt(square / hidden);
        for (int c = 0; c < hidden; c++) {
            const double error = std::fabs(y[row + c] - reference[row + c]) / std::max(rms, std::fabs(double(reference[row + c])));
            worst = std::isnan(error) ? INFINITY : std::max(worst, error);
        }
    }
    return worst;
}

// Against a reference that rounds hidden states as the kernels do, two things are left. y is rounded: u = 2^-11 (fp16) or
// 2^-8 (bf16) of |y|. And sums in fp32 move a hidden state that lies within their error of the middle between two neighbours
// to the other one, by 2u of its size; of the n states in a row's sum that is one in a thousand, and one of them weighs about
// 1/sqrt(n) of the row: another u covers it. fp32: n products summed in fp32, sqrt(n) · 2^-24 = 1.5e-6 for the widest here.
//
// Shared experts beside more than 32 tokens are added to a y that has been rounded: another u. Beyond 64 tokens their weights are rounded, each of
// gate, up and down: noise of u each, of which the worst of 131,200 results has 6.0 (seen). fp32: plainProducts adds one by one.
double toleranceOf(ActivationType type, const Shape& shape, int tokens) {
    const bool isApart = shape.sharedWidth > 0 && tokens > 32, isUnpacked = shape.sharedWidth > 0 && tokens > 64;
    if (type == ActivationType::kFloat32) return shape.sharedWidth > 0 ? 8e-6 : 4e-6;
    return (isUnpacked ? 8 : isApart ? 3 : 2) * (type == ActivationType::kFloat16 ? 0x1p-11 : 0x1p-8);
}

const ActivationType kTypes[] = {ActivationType::kFloat16, ActivationType::kBfloat16, ActivationType::kFloat32};

// On all cores: for a token of the 28B the reference takes a tenth of a second and more.
std::vector<float> referenceOf(const Layer& layer, const std::vector<float>& x, const std::vector<uint8_t>& vision, ActivationType hiddenType) {
    std::vector<float> y(x.size());
    const ModalityMoe whole = layer.args(x, vision, y);
    const int workers = std::min(whole.tokens, int(std::max(1u, std::thread::hardware_concurrency())));
    std::vector<std::thread> threads;
    for (int worker = 0; worker < workers; worker++)
        threads.emplace_back([&, worker] {
            for (int token = worker; token < whole.tokens; token += workers) {
                ModalityMoe a = whole;
                a.x = x.data() + size_t(token) * whole.hidden;
                a.y = y.data() + size_t(token) * whole.hidden;
                a.visionExpert += token;
                a.tokens = 1;
                modalityMoeReference(a, hiddenType);
            }
        });
    for (std::thread& thread : threads) thread.join();
    return y;
}

// Worst errors against the reference that rounds as the kernel does, and against exact arithmetic (printed only).
struct Errors {
    double rounded = 0, exact = 0;
};

void testParity(const Shape& shape, const std::vector<int>& tokenCounts) {
    for (int bits : {4, 8}) {
        if (shape.sharedBits < bits) continue;
        const Layer layer(shape, bits, 1);
        const DeviceLayer device(layer);
        for (ActivationType type : kTypes) {
            Errors worst;
            for (int tokens : tokenCounts)
                for (const char* mix : {"text", "vision", "mixed"}) {
                    const std::vector<float> x = randomRows(tokens, shape.hidden, type, tokens);
                    const std::vector<uint8_t> vision = mixOf(tokens, mix);
                    const std::vector<float> y = runCuda(layer, device, x, vision, type);
                    const std::vector<float> exact = referenceOf(layer, x, vision, ActivationType::kFloat32);
                    const bool isRounded = type != ActivationType::kFloat32;
                    const double error = worstError(y, isRounded ? referenceOf(layer, x, vision, type) : exact, shape.hidden);
                    worst.rounded = std::max(worst.rounded, error);
                    worst.exact = std::max(worst.exact, worstError(y, exact, shape.hidden));
                    char what[200];
                    std::snprintf(what, sizeof what, "parity: hidden %d, int%d, %s, %d %s tokens: error %.2e", shape.hidden, bits,
                                  nameOf(type), tokens, mix, error);
                    check(error <= toleranceOf(type, shape, tokens), what);
                }
            std::printf("hidden %d, widths %d/%d/%d, %d experts, top-%d, int%d, shared int%d, %s: worst error %.2e, %.2e from exact\n", shape.hidden,
                        shape.widths[0], shape.widths[1], shape.sharedWidth, shape.experts, shape.topK, bits, shape.sharedBits, nameOf(type), worst.rounded, worst.exact);
        }
    }
}

void testTiesGoToTheLowerExpert(const Shape& shape) {
    Layer layer(shape, 4, 2);
    std::fill(layer.router.begin(), layer.router.end(), 0.f);
    std::fill(layer.bias.begin(), layer.bias.end(), 0.f);
    layer.bias[shape.experts - 1] = layer.bias[1] = 1;  // text: 1 and the last first, then 0, 2, …
    const DeviceLayer device(layer);
    const std::vector<float> x = randomRows(5, shape.hidden, ActivationType::kFloat16, 3);
    const std::vector<uint8_t> vision = mixOf(5, "mixed");
    const std::vector<float> reference = referenceOf(layer, x, vision, ActivationType::kFloat16);
    const std::vector<float> y = runCuda(layer, device, x, vision, ActivationType::kFloat16);
    check(worstError(y, reference, shape.hidden) <= toleranceOf(ActivationType::kFloat16, shape, 5), "ties go to the lower expert");
}

void testNanStaysInItsToken(const Shape& shape, int tokens) {
    const Layer layer(shape, 4, 4);
    const DeviceLayer device(layer);
    for (float bad : {NAN, INFINITY}) {
        std::vector<float> x = randomRows(tokens, shape.hidden, ActivationType::kFloat16, 5);
        const std::vector<uint8_t> vision = mixOf(tokens, "mixed");
        const std::vector<float> clean = runCuda(layer, device, x, vision, ActivationType::kFloat16);
        x[size_t(1) * shape.hidden + 3] = bad;
        const std::vector<float> y = runCuda(layer, device, x, vision, ActivationType::kFloat16);
        bool same = true;
        for (size_t i = 0; i < y.size(); i++) same &= int(i) / shape.hidden == 1 || y[i] == clean[i];
        check(same, "a token with NaN or Inf leaves the others' bits alone");
        check(std::isnan(y[size_t(1) * shape.hidden]), "a token with NaN or Inf answers NaN");
    }
}

void testRepeatable(const Shape& shape, int tokens) {
    const Layer layer(shape, 4, 6);
    const DeviceLayer device(layer);
    const std::vector<float> x = randomRows(tokens, shape.hidden, ActivationType::kBfloat16, 7);
    const std::vector<uint8_t> vision = mixOf(tokens, "mixed");
    const std::vector<float> y = runCuda(layer, device, x, vision, ActivationType::kBfloat16);
    check(y == runCuda(layer, device, x, vision, ActivationType::kBfloat16), "two runs give equal bits");
    check(y == runCuda(layer, device, x, vision, ActivationType::kBfloat16, How::kGraph), "a captured graph gives equal bits");
}

// Each run's workspace begins as NaN, so a kernel that reads what is not there yet shows.
void testEarlyStarts(const Shape& shape, const std::vector<int>& tokenCounts, int runs) {
    const Layer layer(shape, 4, 12);
    const DeviceLayer device(layer);
    for (int tokens : tokenCounts) {
        const std::vector<float> x = randomRows(tokens, shape.hidden, ActivationType::kBfloat16, 13);
        const std::vector<uint8_t> vision = mixOf(tokens, "mixed");
        const std::vector<float> y = runCuda(layer, device, x, vision, ActivationType::kBfloat16);
        bool eager = true, graph = true;
        for (int run = 0; run < runs; run++) {
            eager &= y == runCuda(layer, device, x, vision, ActivationType::kBfloat16, How::kEarly);
            graph &= y == runCuda(layer, device, x, vision, ActivationType::kBfloat16, How::kEarlyGraph);
        }
        check(eager, "kernels that start early give equal bits");
        check(graph, "kernels that start early give equal bits in a captured graph");
    }
}

void testNeighboursDoNotMatter(const Shape& shape, int tokens) {
    const Layer layer(shape, 4, 8);
    const DeviceLayer device(layer);
    const std::vector<float> x = randomRows(tokens, shape.hidden, ActivationType::kFloat16, 9);
    const std::vector<uint8_t> vision = mixOf(tokens, "mixed");
    const std::vector<float> together = runCuda(layer, device, x, vision, ActivationType::kFloat16);
    bool same = true;
    for (int t = 0; t < tokens; t++) {
        const std::vector<float> row(x.begin() + size_t(t) * shape.hidden, x.begin() + size_t(t + 1) * shape.hidden);
        const std::vector<float> alone = runCuda(layer, device, row, {vision[t]}, ActivationType::kFloat16);
        same &= std::equal(alone.begin(), alone.end(), together.begin() + size_t(t) * shape.hidden);
    }
    check(same, "decode: a token's bits are the same alone and in a batch");
}

void testLongPromptsRunInChunks() {
    const Shape shape{32, {32, 64}, 4, 1, 32};
    const int tokens = 4100;
    const Layer layer(shape, 4, 10);
    const DeviceLayer device(layer);
    const std::vector<float> x = randomRows(tokens, shape.hidden, ActivationType::kFloat16, 11);
    const std::vector<uint8_t> vision = mixOf(tokens, "mixed");
    const std::vector<float> reference = referenceOf(layer, x, vision, ActivationType::kFloat16);
    const std::vector<float> y = runCuda(layer, device, x, vision, ActivationType::kFloat16);
    check(worstError(y, reference, shape.hidden) <= toleranceOf(ActivationType::kFloat16, shape, tokens), "4100 tokens run in chunks");
}

}  // namespace

int main(int count, char** arguments) {
#ifndef ERNIE_CUDA_EMULATOR
    if (skipsWithoutDevice()) return 0;
    if (count > 1 && std::string(arguments[1]) == "--bench") return bench(), 0;
#endif
    // The emulator and compute-sanitizer are slow.
    const bool isBrief = kEmulated || (count > 1 && std::string(arguments[1]) == "--brief");
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const Shape small{96, {64, 32}, 8, 3, 160};
    if (isBrief) {
        testParity(small, {1, 2, 9, 17, 33, 130});
        testParity({672, {544, 288}, 4, 2, 1088}, {2, 34});
        testParity({672, {544, 288}, 4, 2, 1088, 4}, {2});
        testParity({1184, {1184, 32}, 2, 1}, {2});  // enough columns for every ring to go round
        testParity({224, {160, 96}, 6, 2}, {3, 258});
        testParity({32, {32, 64}, 128, 8, 32, 4}, {4, 20, 33});  // 20 tokens choose more experts than decode has rows of blocks
    } else {
        testParity(small, {1, 2, 3, 4, 7, 16, 17, 32, 33, 128, 300, 5000});
        testParity({512, {256, 96}, 64, 6, 384}, {1, 2, 3, 4, 7, 16, 17, 33, 128, 300});
        testParity({2560, {1536, 512}, 64, 6, 3072}, {1, 5, 40});
        testParity({2560, {1536, 512}, 64, 6, 3072, 4}, {1, 5, 40});
        testParity({32, {32, 64}, 128, 8}, {1, 4, 20, 33, 300});
    }
    testTiesGoToTheLowerExpert(small);
    for (int tokens : {5, 40, 270}) {
        testNanStaysInItsToken(small, tokens);
        testRepeatable(small, tokens);
    }
    testEarlyStarts(small, {1, 5, 20}, isBrief ? 1 : 50);
    testEarlyStarts({96, {64, 32}, 8, 3}, {2}, 1);  // no shared experts
    if (!isBrief) testEarlyStarts({2560, {1536, 512}, 16, 6, 3072}, {1, 4, 16, 32}, 20);
    testNeighboursDoNotMatter(small, 18);
    testLongPromptsRunInChunks();
    std::printf("%d passed, %d failed\n", checks - failures, failures);
    return failures ? 1 : 0;
}
