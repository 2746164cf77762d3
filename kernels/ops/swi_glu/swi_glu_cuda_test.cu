// The CUDA kernel against the reference, on a GPU or, compiled with ERNIE_CUDA_EMULATOR, on the CPU.

#include "../../common/device_array.cuh"
#include "swi_glu_case.h"

using namespace ernie;

namespace {

Activations runCuda(const SwiGluCase& gate, bool asGraph = false) {
    const DeviceArray<uint8_t> x(gate.x.bytes);
    SwiGlu a = gate.args;
    a.x = x.get();
    Activations result = gate.y;
    result.bytes = runOnDevice(result.bytes.size(), asGraph, [&](void* y, cudaStream_t to) { a.y = y, swiGluCuda(a, to); });
    return result;
}

}  // namespace

int main() {
    if (skipsWithoutDevice()) return 0;
    for (const ActivationType type : kActivationTypes)
        for (const int width : {2, 6, 384, 3072})
            for (const int rows : {1, 2, 17}) {
                SwiGluCase gate(rows, width, type, rows);
                const Activations y = runCuda(gate);
                check(worstError(y, gate.reference()) <= toleranceOf(type), gate.show());
                check(runCuda(gate, true) == y, "a captured graph gives equal bits");
            }
    return report();
}
