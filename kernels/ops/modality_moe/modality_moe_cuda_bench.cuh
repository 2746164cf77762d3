// `modality_moe_cuda_test --bench`: one 28B layer (hidden 2560, width 1536, 64 experts, top-6, text tokens) next to a
// device-to-device copy. Every run is one replay of a captured graph after a flush of the L2 cache; medians.
#pragma once

#include <algorithm>
#include <cstdio>

#include "modality_moe_cuda_case.cuh"

namespace {

// Median over `runs` of one graph replay that follows a flush of the L2 cache.
double medianMicroseconds(cudaGraphExec_t graph, void* flush, size_t flushBytes, int runs) {
    cudaEvent_t start, stop;
    CUDA_CHECK(cudaEventCreate(&start));
    CUDA_CHECK(cudaEventCreate(&stop));
    std::vector<float> times;
    for (int run = -3; run < runs; run++) {
        CUDA_CHECK(cudaMemsetAsync(flush, run & 1, flushBytes, stream()));
        CUDA_CHECK(cudaEventRecord(start, stream()));
        CUDA_CHECK(cudaGraphLaunch(graph, stream()));
        CUDA_CHECK(cudaEventRecord(stop, stream()));
        CUDA_CHECK(cudaEventSynchronize(stop));
        float milliseconds;
        CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start, stop));
        if (run >= 0) times.push_back(milliseconds * 1000);
    }
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return times[times.size() / 2];
}

double copyGigabytesPerSecond() {
    const size_t bytes = size_t(1) << 30;
    const DeviceArray<char> from(bytes), to(bytes);
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    CUDA_CHECK(cudaMemcpyAsync(to.get(), from.get(), bytes, cudaMemcpyDeviceToDevice, stream()));
    CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
    CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    return 2.0 * bytes / medianMicroseconds(executable, to.get(), 1 << 20, 10) / 1000;
}

// Bytes of the experts that the tokens chose (text only), counted with the reference's routing on the host.
size_t chosenExpertBytes(const Layer& layer, const std::vector<float>& x, int tokens) {
    const Shape& s = layer.shape;
    std::vector<bool> chosen(s.experts);
    for (int t = 0; t < tokens; t++) {
        std::vector<std::pair<double, int>> scores(s.experts);
        double sum = 0;
        for (int e = 0; e < s.experts; e++) {
            double logit = 0;
            for (int c = 0; c < s.hidden; c++) logit += double(x[size_t(t) * s.hidden + c]) * layer.router[size_t(e) * s.hidden + c];
            scores[e] = {std::exp(logit), e};
            sum += scores[e].first;
        }
        for (auto& [score, e] : scores) score = score / sum + layer.bias[e];
        std::partial_sort(scores.begin(), scores.begin() + s.topK, scores.end(), std::greater<>());
        for (int k = 0; k < s.topK; k++) chosen[scores[k].second] = true;
    }
    const size_t weights = size_t(3) * s.widths[0] * s.hidden;
    return std::count(chosen.begin(), chosen.end(), true) * (weights * layer.bits / 8 + weights / kBlockColumns * 2);
}

void bench() {
    const Shape shape{2560, {1536, 512}, 64, 6};
    const double copyRate = copyGigabytesPerSecond();
    std::printf("device-to-device copy: %.0f GB/s (read + write)\n", copyRate);
    const size_t flushBytes = size_t(256) << 20;
    const DeviceArray<char> flush(flushBytes);
    for (int bits : {4, 8}) {
        const Layer layer(shape, bits, 1);
        const DeviceLayer device(layer);
        for (ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16})
            for (int tokens : {1, 2, 4, 8, 16, 32, 33, 64, 128, 256, 257, 512, 1024, 2048, 4096, 8192}) {
                const std::vector<float> x = randomRows(tokens, shape.hidden, type, 1);
                const std::vector<uint8_t> vision = mixOf(tokens, "text");
                std::vector<uint16_t> encoded(x.size());
                for (size_t i = 0; i < x.size(); i++) encoded[i] = encode16(x[i], type);
                std::vector<float> unused;
                ModalityMoe a = layer.args(x, vision, unused);
                a.type = type;
                device.fill(a);
                const DeviceArray<uint8_t> flags(vision);
                const DeviceArray<uint16_t> deviceX(encoded), deviceY(x.size());
                const DeviceArray<char> workspace(modalityMoeWorkspaceBytes(a)), dense(modalityMoeDenseBytes(a));
                a.visionExpert = flags.get();
                a.x = deviceX.get();
                a.y = deviceY.get();
                synchronize();  // the workspace is filled on another stream
                const auto measure = [&](bool startsEarly) {
                    a.startsEarly = startsEarly;
                    const cudaGraphExec_t graph = captureGraph([&](cudaStream_t to) { modalityMoeCuda(a, workspace.get(), dense.get(), plainProducts(to), to); });
                    const double us = medianMicroseconds(graph, flush.get(), flushBytes, 30);
                    CUDA_CHECK(cudaGraphExecDestroy(graph));
                    return us;
                };
                const double us = measure(false);
                const double bytes = double(chosenExpertBytes(layer, x, std::min(tokens, 256)));
                const double flops = 6.0 * tokens * shape.topK * shape.widths[0] * shape.hidden;
                std::printf("int%d %s T %5d: %9.1f us  %6.0f GB/s of weights (%3.0f %% of copy)  %6.1f TFLOP/s", bits,
                            nameOf(type), tokens, us, bytes / us / 1000, 100 * bytes / us / 1000 / copyRate, flops / us / 1e6);
                if (tokens <= 32) std::printf("  early starts: %.1f us", measure(true));
                std::printf("\n");
            }
    }
}

}  // namespace
