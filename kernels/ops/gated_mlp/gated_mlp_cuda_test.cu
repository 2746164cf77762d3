// The CUDA kernels against the reference, on a GPU or, compiled with ERNIE_CUDA_EMULATOR, on the CPU: both paths, several
// chunks, hidden states beyond what fp16 can hold.

#include "../../common/dense_product_test.cuh"
#include "../../common/device_matrix_test.cuh"
#include "gated_mlp.h"

using namespace ernie;

namespace {

struct Case {
    std::mt19937_64 random;
    RandomMatrix gateUp, down;
    Activations x, wanted;
    DeviceMatrix deviceGateUp, deviceDown;
    GatedMlp args;

    Case(int hidden, int width, int bits, int tokens, ActivationType type)
        : random(hidden + tokens),
          gateUp(2 * width, hidden, bits, random),
          down(hidden, width, bits, random),
          x(Activations::random(type, size_t(tokens) * hidden, width)),
          wanted(type, size_t(tokens) * hidden),
          deviceGateUp(gateUp),
          deviceDown(down) {
        args = {wanted.bytes.data(), x.bytes.data(), type, gateUp.matrix, down.matrix, tokens};
        gatedMlpReference(args);
        args.gateUp = deviceGateUp.matrix;
        args.down = deviceDown.matrix;
    }

    Activations run(bool asGraph = false) {
        const DeviceArray<uint8_t> deviceX(x.bytes), workspace(gatedMlpWorkspaceBytes(args));
        Activations y = wanted;
        y.bytes = runOnDevice(y.bytes.size(), asGraph, [&](void* to, cudaStream_t stream) {
            GatedMlp a = args;
            a.y = to;
            a.x = deviceX.get();
            gatedMlpCuda(a, workspace.get(), plainProducts(stream), stream);
        });
        return y;
    }
};

// Root mean square, as a share of the result's: h and y are rounded once each, and for many tokens each weight.
double toleranceOfRows(ActivationType type) { return type == ActivationType::kFloat32 ? 2e-6 : type == ActivationType::kFloat16 ? 8e-4 : 6e-3; }

void matchesReference() {
    const int sizes[][2] = {{32, 32}, {96, 288}, {288, 96}};
    for (const auto& [hidden, width] : sizes)
        for (const int bits : {4, 8})
            for (const ActivationType type : kActivationTypes)
                for (const int tokens : {1, 8, 9, 17, 64, 65}) {
                    Case one(hidden, width, bits, tokens, type);
                    const Activations y = one.run();
                    const double error = relativeError(y, one.wanted);
                    check(error < toleranceOfRows(type), "hidden " + std::to_string(hidden) + ", width " + std::to_string(width) + ", int" + std::to_string(bits) + ", " + nameOf(type) + ", " +
                                                             std::to_string(tokens) + " tokens: relative error " + std::to_string(error));
                    check(one.run(true) == y, "a captured graph gives equal bits");
                }
}

void worksInChunks() {
    for (const int tokens : {2048 + 3, 2048 + 70}) {
        Case one(32, 32, 8, tokens, ActivationType::kBfloat16);
        check(relativeError(one.run(), one.wanted) < toleranceOfRows(ActivationType::kBfloat16), "several chunks");
    }
}

void clampsHiddenStates() {
    for (const int tokens : {3, 70}) {
        Case one(32, 32, 8, tokens, ActivationType::kFloat16);
        for (size_t i = 0; i < one.x.count(); i++) one.x.set(i, 5e3 * one.x.at(i));
        const Activations y = one.run();
        bool isNumber = true;
        for (size_t i = 0; i < y.count(); i++) isNumber &= !std::isnan(y.at(i));
        check(isNumber, "hidden states beyond fp16 do not become NaN");
    }
}

}  // namespace

int main() {
    if (skipsWithoutDevice()) return 0;
    matchesReference();
    worksInChunks();
    clampsHiddenStates();
    return report();
}
