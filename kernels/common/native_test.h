// What native tests share: counting, pools, activations of any type.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "activation_values.h"

namespace ernie {

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

constexpr ActivationType kActivationTypes[] = {ActivationType::kFloat32, ActivationType::kFloat16, ActivationType::kBfloat16};

inline const char* nameOf(ActivationType type) {
    return type == ActivationType::kFloat32 ? "fp32" : type == ActivationType::kFloat16 ? "fp16" : "bf16";
}

// By how much two results may differ that are rounded to the type, as a share of a value; in fp32 after some roundings more.
inline double toleranceOf(ActivationType type) {
    return type == ActivationType::kFloat32 ? 1e-6 : type == ActivationType::kFloat16 ? 0x1.1p-10 : 0x1.1p-7;
}

// Exactly as large as its values, so that the address sanitizer sees any access beyond them.
struct Activations {
    ActivationType type;
    std::vector<uint8_t> bytes;

    // Starts as NaN, so that what nobody wrote shows.
    Activations(ActivationType type, size_t count) : type(type), bytes(count * elementBytes(type), 0xff) {}

    static Activations random(ActivationType type, size_t count, uint32_t seed) {
        Activations values(type, count);
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        for (size_t i = 0; i < count; i++) values.set(i, 2 * normal(random));
        return values;
    }

    size_t count() const { return bytes.size() / elementBytes(type); }
    double at(size_t index) const { return load(bytes.data(), index, type); }
    void set(size_t index, double value) { store(bytes.data(), index, type, value); }
    bool operator==(const Activations& other) const { return bytes == other.bytes; }
};

// Largest difference, in units of the larger of 1 and the wanted value; NaN where none is wanted counts as infinite.
inline double worstError(const Activations& got, const Activations& wanted) {
    double worst = 0;
    for (size_t i = 0; i < wanted.count(); i++) {
        const double error = std::fabs(got.at(i) - wanted.at(i)) / std::fmax(1, std::fabs(wanted.at(i)));
        worst = std::isnan(error) ? INFINITY : std::fmax(worst, error);
    }
    return worst;
}

}  // namespace ernie
