// The CUDA kernels against the reference, on a GPU or, compiled with ERNIE_CUDA_EMULATOR, on the CPU: both paths, on both sides of every change of
// kernel, rows that end within a pair of tiles, columns enough for the ring of weights to go round.

#include "../../common/dense_product_test.cuh"
#include "../../common/device_matrix_test.cuh"
#include "../../common/tiled_linear.cuh"
#include "quantized_linear.h"

using namespace ernie;

namespace {

struct Case {
    std::mt19937_64 random;
    RandomMatrix weight;
    Activations x, wanted;
    DeviceMatrix deviceWeight;
    DeviceArray<uint8_t> deviceX;
    std::vector<float> angles;  // cosines and sines, as far as the formula is concerned
    DeviceArray<float> deviceAngles;
    QuantizedLinear args;

    // Rotates so many heads of 32 rows.
    Case(int rows, int columns, int bits, int tokens, ActivationType type, int rotatedHeads = 0)
        : random(rows + tokens),
          weight(rows, columns, bits, random),
          x(Activations::random(type, size_t(tokens) * columns, rows)),
          wanted(type, size_t(tokens) * rows),
          deviceWeight(weight),
          deviceX(x.bytes),
          angles(randomFloats(size_t(2) * tokens * 16, random)),
          deviceAngles(angles) {
        args = {wanted.bytes.data(), x.bytes.data(), type, weight.matrix, tokens};
        const auto rotation = [&](const float* at) { return Rotation{at, at + size_t(tokens) * 16, 32, 32 * rotatedHeads}; };
        if (rotatedHeads > 0) args.rotation = rotation(angles.data());
        quantizedLinearReference(args);
        if (rotatedHeads > 0) args.rotation = rotation(deviceAngles.get());
        args.x = deviceX.get();
        args.weight = deviceWeight.matrix;
    }

    template <typename Queue>
    Activations run(bool asGraph, size_t workspaceBytes, Queue queue) {
        const DeviceArray<uint8_t> workspace(workspaceBytes);
        Activations y = wanted;
        y.bytes = runOnDevice(y.bytes.size(), asGraph, [&](void* to, cudaStream_t stream) {
            args.y = to;
            queue(workspace.get(), stream);
        });
        return y;
    }

    Activations run(bool asGraph = false) {
        return run(asGraph, quantizedLinearWorkspaceBytes(args), [&](void* workspace, cudaStream_t stream) { quantizedLinearCuda(args, workspace, plainProducts(stream), stream); });
    }
};

// Root mean square, as a share of the result's: y is rounded once, and for many tokens each weight.
double toleranceOfRows(ActivationType type) { return type == ActivationType::kFloat32 ? 1e-6 : type == ActivationType::kFloat16 ? 5e-4 : 4e-3; }

void matchesReference() {
    const int sizes[][2] = {{16, 32}, {48, 288}, {80, 1120}};
    for (const auto& [rows, columns] : sizes)
        for (const int bits : {4, 8})
            for (const ActivationType type : kActivationTypes)
                for (const int tokens : {1, 8, 9, 16, 17, 33, 64, 65, 70}) {
                    Case one(rows, columns, bits, tokens, type);
                    const Activations y = one.run();
                    const double error = relativeError(y, one.wanted);
                    check(error < toleranceOfRows(type), std::to_string(rows) + " × " + std::to_string(columns) + ", int" + std::to_string(bits) + ", " + nameOf(type) + ", " +
                                                             std::to_string(tokens) + " tokens: relative error " + std::to_string(error));
                    check(one.run(true) == y, "a captured graph gives equal bits");
                }
}

void goesRoundTheRing() {
    for (const int bits : {4, 8})
        for (const ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16})
            for (const int tokens : {3, 9, 20}) {
                Case one(48, 145 * 32, bits, tokens, type);
                check(relativeError(one.run(), one.wanted) < toleranceOfRows(type), "145 column blocks, int" + std::to_string(bits) + ", " + nameOf(type) + ", " + std::to_string(tokens) + " tokens");
            }
}

void rotatesTheFirstRows() {
    for (const int rotatedHeads : {1, 3})
        for (const ActivationType type : kActivationTypes)
            for (const int tokens : {1, 12, 64, 65}) {
                Case one(112, 96, 8, tokens, type, rotatedHeads);
                // For many tokens of 16 bits y is rounded twice.
                check(relativeError(one.run(), one.wanted) < 1.5 * toleranceOfRows(type), std::to_string(rotatedHeads) + " heads rotated, " + nameOf(type) + ", " + std::to_string(tokens) + " tokens");
            }
}

// Up to kMaxFewTokens.
void doesNotDependOnTheBatch() {
    for (const ActivationType type : {ActivationType::kFloat16, ActivationType::kBfloat16}) {
        Case batch(48, 1120, 8, 64, type);
        const Activations together = batch.run();
        for (const int tokens : {1, 7, 13, 40}) {
            Case part(48, 1120, 8, 64, type);
            part.args.tokens = tokens;
            const Activations alone = part.run();
            const size_t bytes = size_t(tokens) * 48 * 2;
            check(std::equal(alone.bytes.begin(), alone.bytes.begin() + bytes, together.bytes.begin()), "a token's bits are the same among others");
        }
    }
}

void unpacksInPieces() {
    for (const ActivationType type : kActivationTypes) {
        Case one(144, 96, 8, 70, type);
        const Activations whole = one.run();
        TiledLinear linear{nullptr, one.args.x, one.args.weight, type, 70, false, {}, 64 * 96 * 4};
        const Activations pieces = one.run(false, tiledLinearWorkspaceBytes(linear, RowUse::kStore), [&](void* workspace, cudaStream_t stream) {
            linear.y = one.args.y;
            launchTiledLinear(linear, RowUse::kStore, workspace, plainProducts(stream), stream);
        });
        check(tiledLinearWorkspaceBytes(linear, RowUse::kStore) < quantizedLinearWorkspaceBytes(one.args), "pieces need less memory");
        check(pieces == whole, "pieces give the same bits");
    }
}

void keepsBadNumbersToTheirToken() {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
        Case one(48, 288, 8, 20, ActivationType::kFloat16);
        const Activations clean = one.run();
        one.x.set(2 * 288 + 33, bad);
        const DeviceArray<uint8_t> dirty(one.x.bytes);
        one.args.x = dirty.get();
        const Activations y = one.run();
        for (size_t i = 0; i < y.count(); i++)
            if (i / 48 != 2) check(y.at(i) == clean.at(i), "other tokens beside " + std::to_string(bad));
        if (std::isnan(bad)) check(std::isnan(y.at(2 * 48)), "NaN comes out of NaN");
    }
}

}  // namespace

int main() {
    if (skipsWithoutDevice()) return 0;
    matchesReference();
    goesRoundTheRing();
    rotatesTheFirstRows();
    doesNotDependOnTheBatch();
    unpacksInPieces();
    keepsBadNumbersToTheirToken();
    return report();
}
