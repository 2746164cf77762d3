// The CUDA kernel against the reference, on a GPU or, compiled with ERNIE_CUDA_EMULATOR, on the CPU.

#include "../../common/device_array.cuh"
#include "rotary_qkv_case.h"

using namespace ernie;

namespace {

Activations runCuda(const RotaryCase& rotary, bool asGraph = false) {
    const DeviceArray<uint8_t> x(rotary.x.bytes), cosines(rotary.cosines.bytes), sines(rotary.sines.bytes);
    RotaryQkv a = rotary.args;
    a.x = x.get(), a.cosines = cosines.get(), a.sines = sines.get();
    Activations result = rotary.y;
    result.bytes = runOnDevice(result.bytes.size(), asGraph, [&](void* y, cudaStream_t to) { a.y = y, rotaryQkvCuda(a, to); });
    return result;
}

}  // namespace

int main() {
    if (skipsWithoutDevice()) return 0;
    for (const ActivationType type : kActivationTypes)
        for (const Heads& heads : {Heads{28, 24, 128}, Heads{8, 6, 32}, Heads{3, 2, 2}, Heads{5, 5, 6}, Heads{4, 0, 8}})
            for (const int tokens : {1, 2, 17}) {
                RotaryCase rotary(heads, tokens, type, tokens);
                const Activations y = runCuda(rotary);
                checkAgainstReference(y, rotary, show(heads, tokens, type));
                check(runCuda(rotary, true) == y, "a captured graph gives equal bits");
            }
    return report();
}
