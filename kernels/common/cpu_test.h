// The instruction sets whose CPU kernels can be tested here.
#pragma once

#include <vector>

#include "cpu_lanes.h"
#include "matrix_test.h"

namespace ernie {

inline std::vector<CpuKernel> kernelsHere() {
    std::vector<CpuKernel> kernels{CpuKernel::kPortable};
    if (bestCpuKernel() != CpuKernel::kPortable) kernels.push_back(CpuKernel::kAvx2);
    if (bestCpuKernel() == CpuKernel::kAvx512Vnni) kernels.push_back(CpuKernel::kAvx512Vnni);
    return kernels;
}

}  // namespace ernie
