// The instruction sets whose CPU kernels can be tested here.
#pragma once

#include <vector>

#include "cpu_lanes.h"
#include "matrix_test.h"

namespace ernie {

inline std::vector<CpuKernel> kernelsHere() {
    std::vector<CpuKernel> kernels;
    for (CpuKernel kernel : kBestFirst) {
        bool isHere = isSupported(kernel);
#ifdef ERNIE_AVX_VNNI_EMULATOR
        isHere |= kernel == CpuKernel::kAvxVnni && isSupported(CpuKernel::kAvx2);
#endif
#ifdef ERNIE_AVX512_EMULATOR
        isHere |= kernel == CpuKernel::kAvx512Vnni && isSupported(CpuKernel::kAvx2);
#endif
        if (isHere) kernels.push_back(kernel);
    }
    return kernels;
}

}  // namespace ernie
