// Runs our CUDA kernels on the CPU, for tests on machines without a GPU (define ERNIE_CUDA_EMULATOR, compile with g++).
// Every thread of a block is a fiber; barriers and warp collectives are the points where fibers switch, so the code between
// two of them runs whole. Blocks run one after the other. Stricter than a GPU on purpose: shared memory starts as NaN
// bits, cp.async data arrives no sooner than the wait that asks for it, and `shuffleSeed` varies the order of the fibers.
// Not modelled: timing, memory ordering between blocks, the tensor cores' exact order of fp32 sums.
#pragma once

#include <cuda_runtime.h>
#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#undef __shared__
#define __shared__ static  // blocks run one at a time
#undef __launch_bounds__
#define __launch_bounds__(...)

namespace ernie {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

namespace emulator {

struct Copy {
    void* to;
    const void* from;
    bool present;
};

struct Fiber {
    ucontext_t start;   // used once: swapcontext asks the kernel about signals each time, _longjmp does not
    jmp_buf resume;
    bool started = false;
    std::unique_ptr<char[]> stack;
    dim3 threadIndex;
    int thread = 0;
    bool done = false;
    unsigned blockPhase = 0, warpPhase = 0;  // barriers passed
    std::vector<Copy> openCopies;
    std::deque<std::vector<Copy>> copyGroups;
};

struct Barrier {
    int arrived = 0, members = 0;
    unsigned phase = 0;
};

struct Warp {
    Barrier barrier;
    uint32_t lanes[kWarpSize][8];  // what each lane offers to a collective
};

struct Block {
    ucontext_t unused;
    jmp_buf scheduler;
    std::vector<Fiber> fibers;
    std::vector<Warp> warps;
    Barrier barrier;
    Fiber* current = nullptr;
    dim3 blockIndex, blockSize;
    std::vector<char> dynamicShared;
    std::function<void()> body;
};

inline Block block;
inline uint32_t shuffleSeed = 1;

inline void yield() {
    if (_setjmp(block.current->resume) == 0) _longjmp(block.scheduler, 1);
}

inline void resume(Fiber& fiber) {
    block.current = &fiber;
    if (_setjmp(block.scheduler) != 0) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    fiber.started = true;
    swapcontext(&block.unused, &fiber.start);
}

inline void wait(Barrier& barrier, unsigned& passed) {
    passed++;
    if (++barrier.arrived == barrier.members) {
        barrier.arrived = 0;
        barrier.phase++;
    }
    while (int(barrier.phase - passed) < 0) yield();
}

// A thread that has returned no longer counts at barriers, as on a GPU.
inline void leave(Barrier& barrier) {
    barrier.members--;
    if (barrier.members > 0 && barrier.arrived == barrier.members) {
        barrier.arrived = 0;
        barrier.phase++;
    }
}

inline Warp& warp() { return block.warps[block.current->thread / kWarpSize]; }
inline int lane() { return block.current->thread % kWarpSize; }

inline void enter() {
    block.body();
    Fiber& fiber = *block.current;
    fiber.done = true;
    leave(block.barrier);
    leave(warp().barrier);
    yield();
}

// Every lane offers `offer`, then reads what it wants from the others.
template <typename Offer, typename Read>
auto collective(const Offer& offer, Read read) {
    static_assert(sizeof(Offer) <= sizeof(Warp::lanes[0]), "fits");
    Warp& w = warp();
    memcpy(w.lanes[lane()], &offer, sizeof offer);
    wait(w.barrier, block.current->warpPhase);
    const auto result = read(w);
    wait(w.barrier, block.current->warpPhase);  // all have read before anyone offers again
    return result;
}

template <typename T>
T offered(const Warp& w, int lane) {
    T value;
    memcpy(&value, w.lanes[lane], sizeof value);
    return value;
}

inline void runBlock(int threads) {
    constexpr size_t kStackBytes = 128 * 1024;
    block.fibers.resize(threads);
    block.warps.assign((threads + kWarpSize - 1) / kWarpSize, {});
    block.barrier = {0, threads, 0};
    for (size_t i = 0; i < block.warps.size(); i++)
        block.warps[i].barrier.members = std::min(kWarpSize, threads - int(i) * kWarpSize);
    for (int thread = 0; thread < threads; thread++) {
        Fiber& fiber = block.fibers[thread];
        if (!fiber.stack) fiber.stack = std::make_unique<char[]>(kStackBytes);
        fiber.thread = thread;
        fiber.threadIndex = dim3(thread, 0, 0);
        fiber.done = fiber.started = false;
        fiber.blockPhase = fiber.warpPhase = 0;
        fiber.openCopies.clear();
        fiber.copyGroups.clear();
        getcontext(&fiber.start);
        fiber.start.uc_stack = {fiber.stack.get(), 0, kStackBytes};
        fiber.start.uc_link = nullptr;
        makecontext(&fiber.start, enter, 0);
    }
    for (int running = threads, idleRounds = 0; running > 0;) {
        shuffleSeed = shuffleSeed * 1664525 + 1013904223;
        const int start = int(shuffleSeed >> 8) % threads, finishedBefore = running;
        const unsigned phase = block.barrier.phase;
        for (int i = 0; i < threads; i++) {
            Fiber& fiber = block.fibers[(start + i) % threads];
            if (fiber.done) continue;
            resume(fiber);
            running -= fiber.done;
        }
        idleRounds = running == finishedBefore && phase == block.barrier.phase ? idleRounds + 1 : 0;
        if (idleRounds > 1000000) throw std::runtime_error("emulated block hangs at a barrier");
    }
}

}  // namespace emulator

template <typename... Args>
void launch(void (*kernel)(Args...), dim3 grid, int threads, size_t sharedBytes, cudaStream_t, Args... args) {
    emulator::Block& block = emulator::block;
    block.blockSize = dim3(threads);
    block.body = [&] { kernel(args...); };
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block.blockIndex = {x, y, z};
                block.dynamicShared.assign(sharedBytes + 128, char(0xff));
                emulator::runBlock(threads);
            }
}

inline char* dynamicShared() {
    const uintptr_t start = reinterpret_cast<uintptr_t>(emulator::block.dynamicShared.data());
    return reinterpret_cast<char*>((start + 127) / 128 * 128);
}

// The collectives and instructions that our kernels use.

inline float mmaOperand(uint16_t bits, half) { return __half2float(half(__half_raw{bits})); }
inline float mmaOperand(uint16_t bits, __nv_bfloat16) { return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{bits})); }

// Fragments as tensor_core.cuh describes them.
template <typename T>
void mma16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, T) {
    struct Offer {
        uint32_t words[6];
    };
    const Offer offer = {{a[0], a[1], a[2], a[3], b0, b1}};
    const auto product = [](const emulator::Warp& w, int row, int column) {
        float sum = 0;
        for (int k = 0; k < 16; k++) {
            const int i = k % 8 / 2, shift = k % 2 * 16;
            const uint32_t weights = w.lanes[row % 8 * 4 + i][row / 8 + k / 8 * 2], tokens = w.lanes[column * 4 + i][4 + k / 8];
            sum += mmaOperand(uint16_t(weights >> shift), T()) * mmaOperand(uint16_t(tokens >> shift), T());
        }
        return sum;
    };
    struct Result {
        float c[4];
    };
    const Result result = emulator::collective(offer, [&](const emulator::Warp& w) {
        const int g = emulator::lane() / 4, i = emulator::lane() % 4;
        return Result{{c[0] + product(w, g, 2 * i), c[1] + product(w, g, 2 * i + 1), c[2] + product(w, g + 8, 2 * i),
                       c[3] + product(w, g + 8, 2 * i + 1)}};
    });
    memcpy(c, result.c, sizeof c);
}

inline void copyAsync16(void* shared, const void* global, bool present) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 || reinterpret_cast<uintptr_t>(global) % 16)
        throw std::runtime_error("cp.async needs 16-byte alignment");
    emulator::block.current->openCopies.push_back({shared, global, present});
}

inline void copyAsyncCommit() {
    emulator::Fiber& fiber = *emulator::block.current;
    fiber.copyGroups.push_back(std::move(fiber.openCopies));
    fiber.openCopies.clear();
}

template <int kPending>
void copyAsyncWait() {
    auto& groups = emulator::block.current->copyGroups;
    for (; groups.size() > kPending; groups.pop_front())
        for (const emulator::Copy& copy : groups.front())
            copy.present ? memcpy(copy.to, copy.from, 16) : memset(copy.to, 0, 16);
}

}  // namespace ernie

#define threadIdx (::ernie::emulator::block.current->threadIndex)
#define blockIdx (::ernie::emulator::block.blockIndex)
#define blockDim (::ernie::emulator::block.blockSize)

inline void __syncthreads() {
    ernie::emulator::wait(ernie::emulator::block.barrier, ernie::emulator::block.current->blockPhase);
}

template <typename T>
T __shfl_sync(unsigned, T value, int source) {
    return ernie::emulator::collective(value, [&](const auto& w) { return ernie::emulator::offered<T>(w, source % 32); });
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
    return __shfl_sync(mask, value, ernie::emulator::lane() ^ distance);
}

inline unsigned __ballot_sync(unsigned, bool vote) {
    return ernie::emulator::collective(uint32_t(vote), [](const auto& w) {
        unsigned mask = 0;
        for (int lane = 0; lane < 32; lane++) mask |= ernie::emulator::offered<uint32_t>(w, lane) << lane;
        return mask;
    });
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int atomicAdd(int* address, int value) { return (*address += value) - value; }

inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = uint64_t(high) << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= unsigned(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return result;
}

template <typename T>
T min(T a, T b) {
    return b < a ? b : a;
}
