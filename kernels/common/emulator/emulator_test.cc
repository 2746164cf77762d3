// The emulator finds races in shared memory, lanes that do not meet and kernels that start too early, and only those.

#include "../device_array.cuh"
#include "../native_test.h"
#include "../tensor_core.cuh"

using namespace ernie;

namespace {

enum class Order { kNone, kWarp, kBlock };

__device__ void wait(Order order) {
    if (order == Order::kWarp) __syncwarp();
    if (order == Order::kBlock) __syncthreads();
}

// Each thread writes a word and reads that of the thread `distance` on, over and over. (A template: compilers place their variables differently.)
template <int kRounds>
__global__ void shiftKernel(int* out, int distance, Order beforeRead, Order beforeWrite) {
    __shared__ int words[64];
    const int next = (threadIdx.x + distance) % 64;
    int value = threadIdx.x;
    for (int round = 0; round < kRounds; round++) {
        words[threadIdx.x] = value;
        wait(beforeRead);
        value = words[next];
        wait(beforeWrite);
    }
    out[threadIdx.x] = value;
}

// Lanes of a warp copy 16 bytes each and read the next lane's; then the ring is filled again.
__global__ void copyKernel(const int* in, int* out, Order beforeRead, Order beforeCopy) {
    auto* words = reinterpret_cast<int*>(dynamicShared());
    const int lane = threadIdx.x;
    int sum = 0;
    for (int round = 0; round < 2; round++) {
        copyAsync16(words + 4 * lane, in + 4 * lane, true);
        copyAsyncCommit();
        copyAsyncWait<0>();
        wait(beforeRead);
        sum += words[(4 * lane + 4) % 128];
        wait(beforeCopy);
    }
    out[lane] = sum;
}

__global__ void countKernel(int* out, Order beforeRead) {
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    atomicAdd(&count, 1);
    wait(beforeRead);
    out[threadIdx.x] = count;
}

// A shuffle orders no memory.
__global__ void shuffleKernel(int* out) {
    __shared__ int words[32];
    words[threadIdx.x] = threadIdx.x;
    const int other = __shfl_sync(kFullWarp, int(threadIdx.x), 31 - threadIdx.x);
    out[threadIdx.x] = words[other];
}

// Lanes from `leaving` on return early, and those from `apart` on vote where the others shuffle; then all that are left multiply.
__global__ void divergingKernel(float* out, int leaving, int apart) {
    const int lane = threadIdx.x;
    if (lane >= leaving) return;
    unsigned value = lane;
    if (lane < apart)
        value = __shfl_xor_sync(kFullWarp, value, 1);
    else
        value = __ballot_sync(kFullWarp, true);
    float sums[4] = {};
    const uint32_t weights[4] = {value, value, value, value};
    mma16816(sums, weights, value, value, half());
    out[lane] = sums[0];
}

// What a kernel does, in this order.
struct Steps {
    bool letsNextStart = false;
    const int* readsEarly = nullptr;
    int* writesEarly = nullptr;
    bool waits = true, letsNextStartAfter = false;
    const int* reads = nullptr;
    int* writes = nullptr;
};

__global__ void stepsKernel(Steps s) {
    int value = 0;
    if (s.letsNextStart) letNextStart();
    if (s.readsEarly) value += s.readsEarly[threadIdx.x];
    if (s.writesEarly) s.writesEarly[threadIdx.x] = value;
    if (s.waits) waitForPrevious();
    if (s.letsNextStartAfter) letNextStart();
    if (s.reads) value += s.reads[threadIdx.x];
    if (s.writes) s.writes[threadIdx.x] = value;
}

template <typename Run>
bool hasRace(Run run) {
    try {
        run();
        return false;
    } catch (const std::runtime_error&) {
        return true;
    }
}

}  // namespace

int main() {
    const DeviceArray<int> in(128), out(64);
    const auto shifts = [&](int distance, Order read, Order write) {
        return hasRace([&] { launch(shiftKernel<2>, dim3(2), 64, 0, stream(), out.get(), distance, read, write); });
    };
    const auto copies = [&](Order read, Order write) {
        return hasRace([&] { launch(copyKernel, dim3(2), 32, 512, stream(), static_cast<const int*>(in.get()), out.get(), read, write); });
    };
    const auto counts = [&](Order read) {
        return hasRace([&] { launch(countKernel, dim3(2), 64, 0, stream(), out.get(), read); });
    };
    check(!shifts(1, Order::kBlock, Order::kBlock), "barriers on both sides are no race");
    check(!shifts(0, Order::kNone, Order::kNone), "a thread's own words are no race");
    check(shifts(1, Order::kNone, Order::kBlock), "a read may come before the write");
    check(shifts(1, Order::kBlock, Order::kNone), "the next write may come before the read");
    check(shifts(1, Order::kWarp, Order::kWarp), "__syncwarp does not order two warps");
    check(!copies(Order::kWarp, Order::kWarp), "__syncwarp orders a warp's copies");
    check(copies(Order::kNone, Order::kWarp), "another lane's copy may not be there");
    check(copies(Order::kWarp, Order::kNone), "a copy may come before the read");
    check(!counts(Order::kBlock), "atomics are no race");
    check(counts(Order::kNone), "an atomic and a read are a race");
    check(hasRace([&] { launch(shuffleKernel, dim3(1), 32, 0, stream(), out.get()); }), "a shuffle orders no memory");
    const DeviceArray<float> sums(32);
    const auto diverges = [&](int leaving, int apart) {
        return hasRace([&] { launch(divergingKernel, dim3(2), 32, 0, stream(), sums.get(), leaving, apart); });
    };
    check(!diverges(32, 32), "lanes that stay together are no error");
    check(diverges(32, 16), "lanes may not meet in different instructions");
    check(diverges(31, 32), "all lanes have to reach an mma");

    emulator::watchesEarlyStarts = true;
    const DeviceArray<int> a(32), b(32), c(32);
    const auto isWrong = [&](std::vector<Steps> kernels) {
        return hasRace([&] {
            launch(stepsKernel, dim3(1), 32, 0, stream(), kernels[0]);
            for (size_t i = 1; i < kernels.size(); i++) launchEarly(stepsKernel, dim3(2), 32, stream(), kernels[i]);
        });
    };
    const auto stepsOf = [](auto fill) {
        Steps steps;
        fill(steps);
        return steps;
    };
    const Steps writesA = stepsOf([&](Steps& s) { s.writes = a.get(); });
    const Steps readsAWritesB = stepsOf([&](Steps& s) { s.reads = a.get(), s.writes = b.get(); });
    const Steps readsAEarly = stepsOf([&](Steps& s) { s.readsEarly = a.get(); });
    check(!isWrong({writesA, readsAWritesB}), "a kernel may read what it waited for");
    check(isWrong({writesA, readsAEarly}), "it may not read it before");
    check(isWrong({readsAWritesB, stepsOf([&](Steps& s) { s.writesEarly = a.get(); })}), "it may not write early what the kernel before reads");
    check(!isWrong({writesA, stepsOf([&](Steps& s) { s.readsEarly = c.get(), s.writesEarly = b.get(); })}), "it may touch early what no other does");
    check(isWrong({writesA, stepsOf([&](Steps& s) { s.waits = false; })}), "some thread has to wait");
    check(!isWrong({writesA, readsAWritesB, readsAEarly}), "a kernel that starts at the end of one that waited finds all before that one ended");
    check(isWrong({writesA, stepsOf([&](Steps& s) { s.letsNextStart = true; }), readsAEarly}), "not so if that one let it start before it waited");
    check(!isWrong({writesA, stepsOf([&](Steps& s) { s.letsNextStartAfter = true; }), readsAEarly}), "but if it let it start after it waited");
    return report();
}
