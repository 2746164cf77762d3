// The CPU kernel against the reference. Needs no ONNX Runtime; built with sanitizers by scripts/kernels/test.mjs.

#include "swi_glu_case.h"

using namespace ernie;

namespace {

Activations runCpu(SwiGluCase& gate) {
    swiGluCpu(gate.args, kThreads);
    return gate.y;
}

void agreesWithTheReference() {
    for (const ActivationType type : kActivationTypes)
        for (const int width : {2, 6, 32, 384, 3072})
            for (const int rows : {1, 2, 7, 100}) {  // 100 wide ones run on several threads
                SwiGluCase gate(rows, width, type, rows);
                check(worstError(runCpu(gate), gate.reference()) <= toleranceOf(type), gate.show());
            }
}

// From where exp would overflow down to where the gate is all open.
void agreesAtEveryGate() {
    const int width = 40000;
    SwiGluCase gate(1, width, ActivationType::kFloat32, 1);
    for (int i = 0; i < width; i++) {
        gate.x.set(i, (i - width / 2) * 0.005);
        gate.x.set(width + i, 1);
    }
    check(worstError(runCpu(gate), gate.reference()) <= toleranceOf(ActivationType::kFloat32), "gates from -100 to 100");
}

void keepsBadNumbersInTheirColumn() {
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f};
    for (const float value : bad) {
        SwiGluCase gate(3, 64, ActivationType::kFloat32, 2);
        const Activations clean = runCpu(gate);
        gate.x.set(128 + 7, value);
        const Activations dirty = runCpu(gate);
        if (std::isnan(value)) check(std::isnan(dirty.at(64 + 7)), "NaN comes out of NaN");
        for (size_t i = 0; i < clean.count(); i++)
            if (i != 64 + 7 && clean.at(i) != dirty.at(i)) check(false, std::to_string(value) + " reaches element " + std::to_string(i));
    }
}

}  // namespace

int main() {
    agreesWithTheReference();
    agreesAtEveryGate();
    keepsBadNumbersInTheirColumn();
    return report();
}
