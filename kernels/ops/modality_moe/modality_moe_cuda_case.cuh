// What the CUDA test and benchmark share: a random layer, host and device copies of it, and one run of the kernels, eager or
// as a captured graph. With ERNIE_CUDA_EMULATOR "device" memory is the host's.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "../../common/dense_product_test.cuh"
#include "../../common/device_array.cuh"
#include "../../common/half.h"
#include "modality_moe.h"

namespace {

using namespace ernie;

struct Shape {
    int hidden, widths[2], experts, topK, sharedWidth = 0, sharedBits = 8;
};

// One layer's weights: random codes, scales that keep the numbers near 1.
struct Layer {
    Shape shape;
    int bits;
    std::vector<uint8_t> gateUp[3], down[3];  // text, vision, shared
    std::vector<uint16_t> gateUpScales[3], downScales[3];
    std::vector<float> router, bias;

    Layer(const Shape& s, int bits, uint32_t seed) : shape(s), bits(bits) {
        std::mt19937 random(seed);
        const auto codes = [&](size_t weights, int bits) {
            std::vector<uint8_t> bytes(weights * bits / 8);
            for (auto& byte : bytes) byte = uint8_t(random());
            return bytes;
        };
        const auto scales = [&](size_t weights, int columns, int bits) {
            const float typical = 1 / (std::sqrt(float(columns)) * (bits == 4 ? 4.6f : 74.f));
            std::vector<uint16_t> values(weights / kBlockColumns);
            for (auto& value : values) value = halfFromFloat(typical * (0.5f + random() % 1024 / 1024.f));
            return values;
        };
        const auto fill = [&](int bank, int experts, int width, int bits) {
            const size_t weights = size_t(experts) * width * s.hidden;
            gateUp[bank] = codes(2 * weights, bits);
            gateUpScales[bank] = scales(2 * weights, s.hidden, bits);
            down[bank] = codes(weights, bits);
            downScales[bank] = scales(weights, width, bits);
        };
        fill(0, s.experts, s.widths[0], bits);
        fill(1, s.experts, s.widths[1], bits);
        if (s.sharedWidth > 0) fill(2, 1, s.sharedWidth, s.sharedBits);
        std::normal_distribution<float> normal;
        router.resize(size_t(2) * s.experts * s.hidden);
        for (float& value : router) value = normal(random) * 2 / std::sqrt(float(s.hidden));
        bias.resize(2 * s.experts);
        for (float& value : bias) value = normal(random) * 0.01f;
    }

    ModalityMoe args(const std::vector<float>& x, const std::vector<uint8_t>& vision, std::vector<float>& y) const {
        ModalityMoe a{y.data(), x.data(), vision.data(), router.data(), bias.data(), {}, ActivationType::kFloat32,
                      int(vision.size()), shape.hidden, shape.experts, shape.topK, bits, 1e-12f};
        for (int bank = 0; bank < 2; bank++)
            a.banks[bank] = {gateUp[bank].data(), gateUpScales[bank].data(), down[bank].data(), downScales[bank].data(),
                             shape.widths[bank]};
        if (shape.sharedWidth > 0) {
            a.sharedGateUp = {gateUp[2].data(), gateUpScales[2].data(), 2 * shape.sharedWidth, shape.hidden, shape.sharedBits};
            a.sharedDown = {down[2].data(), downScales[2].data(), shape.hidden, shape.sharedWidth, shape.sharedBits};
        }
        return a;
    }
};

struct DeviceLayer {
    DeviceArray<uint8_t> gateUp0, gateUp1, gateUp2, down0, down1, down2;
    DeviceArray<uint16_t> gateUpScales0, gateUpScales1, gateUpScales2, downScales0, downScales1, downScales2;
    DeviceArray<float> router, bias;

    explicit DeviceLayer(const Layer& l)
        : gateUp0(l.gateUp[0]), gateUp1(l.gateUp[1]), gateUp2(l.gateUp[2]), down0(l.down[0]), down1(l.down[1]), down2(l.down[2]),
          gateUpScales0(l.gateUpScales[0]), gateUpScales1(l.gateUpScales[1]), gateUpScales2(l.gateUpScales[2]),
          downScales0(l.downScales[0]), downScales1(l.downScales[1]), downScales2(l.downScales[2]), router(l.router), bias(l.bias) {}

    void fill(ModalityMoe& a) const {
        a.router = router.get();
        a.correctionBias = bias.get();
        a.banks[0] = {gateUp0.get(), gateUpScales0.get(), down0.get(), downScales0.get(), a.banks[0].width};
        a.banks[1] = {gateUp1.get(), gateUpScales1.get(), down1.get(), downScales1.get(), a.banks[1].width};
        if (!a.hasShared()) return;
        a.sharedGateUp.codes = gateUp2.get(), a.sharedGateUp.scales = gateUpScales2.get();
        a.sharedDown.codes = down2.get(), a.sharedDown.scales = downScales2.get();
    }
};

const char* nameOf(ActivationType type) {
    return type == ActivationType::kFloat32 ? "fp32" : type == ActivationType::kFloat16 ? "fp16" : "bf16";
}

uint16_t encode16(float value, ActivationType type) {
    return type == ActivationType::kFloat16 ? halfFromFloat(value) : bfloat16FromFloat(value);
}

float decode16(uint16_t bits, ActivationType type) {
    return type == ActivationType::kFloat16 ? floatFromHalf(bits) : floatFromBfloat16(bits);
}

std::vector<float> randomRows(int tokens, int hidden, ActivationType type, uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> x(size_t(tokens) * hidden);
    for (float& value : x) {
        value = normal(random);
        if (type != ActivationType::kFloat32) value = decode16(encode16(value, type), type);
    }
    return x;
}

enum class How { kEager, kGraph, kEarly, kEarlyGraph };

// The kernel's y for x (already rounded to the type), as floats.
std::vector<float> runCuda(const Layer& layer, const DeviceLayer& device, const std::vector<float>& x,
                           const std::vector<uint8_t>& vision, ActivationType type, How how = How::kEager) {
    std::vector<float> y(x.size());
    ModalityMoe a = layer.args(x, vision, y);
    a.type = type;
    a.startsEarly = how == How::kEarly || how == How::kEarlyGraph;
    device.fill(a);
#ifdef ERNIE_CUDA_EMULATOR
    emulator::watchesEarlyStarts = a.startsEarly;
#endif
    const DeviceArray<uint8_t> flags(vision);
    a.visionExpert = flags.get();
    const DeviceArray<char> workspace(modalityMoeWorkspaceBytes(a)), dense(modalityMoeDenseBytes(a));
    const auto run = [&](const void* deviceX, void* deviceY) {
        a.x = deviceX;
        a.y = deviceY;
        synchronize();
        const auto queue = [&](cudaStream_t to) { modalityMoeCuda(a, workspace.get(), dense.get(), plainProducts(to), to); };
        how == How::kGraph || how == How::kEarlyGraph ? replayAsGraph(queue) : queue(stream());
        synchronize();
    };
    if (type == ActivationType::kFloat32) {
        const DeviceArray<float> deviceX(x), deviceY(x.size());
        run(deviceX.get(), deviceY.get());
        return deviceY.read();
    }
    std::vector<uint16_t> encoded(x.size());
    for (size_t i = 0; i < x.size(); i++) encoded[i] = encode16(x[i], type);
    const DeviceArray<uint16_t> deviceX(encoded), deviceY(x.size());
    run(deviceX.get(), deviceY.get());
    encoded = deviceY.read();
    for (size_t i = 0; i < x.size(); i++) y[i] = decode16(encoded[i], type);
    return y;
}

std::vector<uint8_t> mixOf(int tokens, const char* mix) {
    std::vector<uint8_t> vision(tokens);
    for (int t = 0; t < tokens; t++) vision[t] = mix[0] == 'v' ? 1 : mix[0] == 't' ? 0 : t * 7 % 5 < 2;
    return vision;
}

}  // namespace
