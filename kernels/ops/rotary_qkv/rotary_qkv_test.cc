// The CPU kernel against the reference. Needs no ONNX Runtime; built with sanitizers by scripts/kernels/test.mjs.

#include "rotary_qkv_case.h"

using namespace ernie;

namespace {

Activations runCpu(RotaryCase& rotary) {
    rotaryQkvCpu(rotary.args, kThreads);
    return rotary.y;
}

void agreesWithTheReference() {
    for (const ActivationType type : kActivationTypes)
        for (const Heads& heads : {Heads{28, 24, 128}, Heads{8, 6, 32}, Heads{3, 2, 2}, Heads{5, 5, 6}, Heads{4, 0, 8}})
            for (const int tokens : {1, 2, 7, 300}) {  // 300 run on several threads
                RotaryCase rotary(heads, tokens, type, tokens);
                checkAgainstReference(runCpu(rotary), rotary, show(heads, tokens, type));
            }
}

// Adjacent numbers are a pair: a quarter turn makes (1, 2) into (−2, 1).
void turnsAdjacentPairs() {
    RotaryCase rotary({2, 1, 4}, 1, ActivationType::kFloat32, 1);
    for (int i = 0; i < 8; i++) rotary.x.set(i, i + 1);
    for (int i = 0; i < 2; i++) {
        rotary.cosines.set(i, i == 0 ? 0 : 1);
        rotary.sines.set(i, i == 0 ? 1 : 0);
    }
    const double wanted[] = {-2, 1, 3, 4, 5, 6, 7, 8};
    const Activations y = runCpu(rotary);
    for (int i = 0; i < 8; i++) check(y.at(i) == wanted[i], "a quarter turn, element " + std::to_string(i));
}

void keepsBadNumbersInTheirPair() {
    const Heads heads{8, 6, 32};
    RotaryCase rotary(heads, 3, ActivationType::kFloat32, 5);
    const Activations clean = runCpu(rotary);
    const size_t bad = size_t(heads.all) * heads.dim + 6;
    rotary.x.set(bad, NAN);
    const Activations dirty = runCpu(rotary);
    for (size_t i = 0; i < clean.count(); i++) {
        if (i / 2 == bad / 2) check(std::isnan(dirty.at(i)), "a pair with NaN becomes NaN");
        else if (clean.at(i) != dirty.at(i)) check(false, "NaN reaches element " + std::to_string(i));
    }
}

}  // namespace

int main() {
    agreesWithTheReference();
    turnsAdjacentPairs();
    keepsBadNumbersInTheirPair();
    return report();
}
