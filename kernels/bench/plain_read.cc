// The memory bandwidth that a kernel is measured against: THREADS threads read BYTES once per round. Prints the median and the
// best GB/s of ROUNDS rounds: plain_read BYTES THREADS ROUNDS.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

__attribute__((target("avx2"))) uint64_t sum(const uint64_t* values, size_t count) {
    uint64_t lanes[32] = {};
    for (size_t i = 0; i + 32 <= count; i += 32)
        for (size_t lane = 0; lane < 32; lane++) lanes[lane] += values[i + lane];
    for (size_t lane = 1; lane < 32; lane++) lanes[0] += lanes[lane];
    return lanes[0];
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) return 2;
    const size_t bytes = strtoull(arguments[1], nullptr, 10), threads = strtoull(arguments[2], nullptr, 10);
    std::vector<uint64_t> data(bytes / sizeof(uint64_t), 1), sums(threads);
    std::vector<double> rates;
    for (int round = 0; round < atoi(arguments[3]); round++) {
        const auto start = std::chrono::steady_clock::now();
        std::vector<std::thread> readers;
        const size_t share = data.size() / threads;
        for (size_t i = 0; i < threads; i++) readers.emplace_back([&, i] { sums[i] += sum(data.data() + i * share, share); });
        for (std::thread& reader : readers) reader.join();
        rates.push_back(bytes / std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count());
    }
    std::sort(rates.begin(), rates.end());
    std::printf("%.2f %.2f\n", rates[rates.size() / 2], rates.back());
    return sums[0] == 0;
}
