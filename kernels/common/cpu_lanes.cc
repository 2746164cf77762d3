// Which instruction set is taken.

#include "cpu_lanes.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace ernie {

extern const CpuLanes portableLanes, avx2Lanes, avx512VnniLanes, neonDotLanes;

CpuKernel bestCpuKernel() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512vnni");
    if (hasAvx2 && hasAvx512) return CpuKernel::kAvx512Vnni;
    if (hasAvx2) return CpuKernel::kAvx2;
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) return CpuKernel::kNeonDot;
#endif
    return CpuKernel::kPortable;
}

const CpuLanes& lanesOf(CpuKernel kernel) {
#if defined(__x86_64__)
    if (kernel == CpuKernel::kAvx512Vnni) return avx512VnniLanes;
    if (kernel == CpuKernel::kAvx2) return avx2Lanes;
#elif defined(__aarch64__)
    if (kernel == CpuKernel::kNeonDot) return neonDotLanes;
#endif
    (void)kernel;
    return portableLanes;
}

}  // namespace ernie
