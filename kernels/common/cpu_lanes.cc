// Which instruction set is taken.

#include "cpu_lanes.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace ernie {

extern const CpuLanes portableLanes, avx2Lanes, avxVnniLanes, avx512VnniLanes, neonDotLanes;

bool isSupported(CpuKernel kernel) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (kernel == CpuKernel::kAvx2) return hasAvx2;
#ifdef ERNIE_HAS_AVX_VNNI
    if (kernel == CpuKernel::kAvxVnni) return hasAvx2 && __builtin_cpu_supports("avxvnni");
#endif
    if (kernel == CpuKernel::kAvx512Vnni)
        return hasAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    if (kernel == CpuKernel::kNeonDot) return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#endif
    return kernel == CpuKernel::kPortable;
}

CpuKernel bestCpuKernel() {
    for (CpuKernel kernel : kBestFirst)
        if (isSupported(kernel)) return kernel;
    return CpuKernel::kPortable;
}

const CpuLanes& lanesOf(CpuKernel kernel) {
#if defined(__x86_64__)
    if (kernel == CpuKernel::kAvx512Vnni) return avx512VnniLanes;
#ifdef ERNIE_HAS_AVX_VNNI
    if (kernel == CpuKernel::kAvxVnni) return avxVnniLanes;
#endif
    if (kernel == CpuKernel::kAvx2) return avx2Lanes;
#elif defined(__aarch64__)
    if (kernel == CpuKernel::kNeonDot) return neonDotLanes;
#endif
    (void)kernel;
    return portableLanes;
}

}  // namespace ernie
