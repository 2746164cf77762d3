// The instruction sets whose CPU kernels can be tested here.
#pragma once

#include <vector>

#include "cpu_lanes.h"
#include "matrix_test.h"

namespace ernie {

inline std::vector<CpuKernel> kernelsHere() {
    switch (bestCpuKernel()) {
        case CpuKernel::kAvx2:
#ifndef ERNIE_AVX512_EMULATOR
            return {CpuKernel::kPortable, CpuKernel::kAvx2};
#endif
        case CpuKernel::kAvx512Vnni: return {CpuKernel::kPortable, CpuKernel::kAvx2, CpuKernel::kAvx512Vnni};
        case CpuKernel::kNeonDot: return {CpuKernel::kPortable, CpuKernel::kNeonDot};
        default: return {CpuKernel::kPortable};
    }
}

}  // namespace ernie
