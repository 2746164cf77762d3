// What the native tests of CPU kernels share: pools, kernels to try, counting, random matrices.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpu_lanes.h"
#include "half.h"
#include "parallel.h"

namespace ernie {

// Three threads that take tasks in turn.
inline void runThreads(void*, void (*task)(void*, size_t), size_t count, void* context) {
    std::atomic<size_t> next{0};
    const auto work = [&] {
        for (size_t i = next++; i < count; i = next++) task(context, i);
    };
    std::thread first(work), second(work);
    work();
    first.join();
    second.join();
}

inline void runBackwards(void*, void (*task)(void*, size_t), size_t count, void* context) {
    for (size_t i = count; i-- > 0;) task(context, i);
}

constexpr ParallelFor kThreads{runThreads, nullptr};
constexpr ParallelFor kOneThread{runBackwards, nullptr};

// Root mean square of the difference over that of the wanted values.
inline double relativeError(const std::vector<double>& got, const std::vector<double>& wanted) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < got.size(); i++) {
        difference += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    return std::sqrt(difference / size);
}

inline std::vector<CpuKernel> kernelsHere() {
    std::vector<CpuKernel> kernels{CpuKernel::kPortable};
    if (bestCpuKernel() != CpuKernel::kPortable) kernels.push_back(CpuKernel::kAvx2);
    if (bestCpuKernel() == CpuKernel::kAvx512Vnni) kernels.push_back(CpuKernel::kAvx512Vnni);
    return kernels;
}

inline int passed = 0, failed = 0;

inline void check(bool isOk, const std::string& what) {
    isOk ? passed++ : failed++;
    if (!isOk) std::printf("FAILED: %s\n", what.c_str());
}

// Prints the line that ends a test; returns the program's exit code.
inline int report() {
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}

// Every code at random; buffers have their exact size, so that the address sanitizer sees any read beyond them.
struct RandomMatrix {
    std::vector<uint8_t> codes;
    std::vector<uint16_t> scales;
    TiledMatrix matrix;

    RandomMatrix(int rows, int columns, int bits, std::mt19937_64& random)
        : codes(size_t(rows) * columns * bits / 8), scales(size_t(rows) * columns / kBlockColumns) {
        std::normal_distribution<float> normal;
        for (uint8_t& code : codes) code = uint8_t(random());
        for (uint16_t& scale : scales) scale = halfFromFloat(normal(random) * (bits == 4 ? 0.03f : 0.002f));
        matrix = {codes.data(), scales.data(), rows, columns, bits};
    }
};

inline std::vector<float> randomFloats(size_t count, std::mt19937_64& random) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random);
    return values;
}

inline std::vector<double> doublesOf(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace ernie
