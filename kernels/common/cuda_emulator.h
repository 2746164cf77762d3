// Runs our CUDA kernels on the CPU, for tests on machines without a GPU (define ERNIE_CUDA_EMULATOR, compile with g++).
// Every thread of a block is a fiber; barriers and warp collectives are the points where fibers switch, so the code between
// two of them runs whole. Blocks run one after the other. Stricter than a GPU on purpose: shared memory starts as NaN
// bits, cp.async data arrives no sooner than the wait that asks for it, `shuffleSeed` varies the order of the fibers, and two threads that touch the same
// shared memory without a barrier between them, one of them to write, are an error in whatever order they ran (emulator/shared_races_test.cc), and so are lanes of a
// warp that meet in different collectives, or an mma that some no longer reach.
// Not modelled: timing, memory ordering between blocks, the tensor cores' exact order of fp32 sums.
#pragma once

#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "emulated_types.h"

namespace ernie {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

namespace emulator {

// Notes what the running thread does with memory, and whether another may have done otherwise at the same time (emulator/shared_races_test.cc).
enum class Access { kRead, kWrite, kAtomic };
void noteAccess(const void* address, size_t bytes, Access access);
void startRaceDetection();     // of a block
std::string findRace();        // in the block that ends; empty: none

// Kernels that start early (launchEarly) run after those before them here too, but touching what these may still write or read is an error, once `watchesEarlyStarts`
// (emulator/early_starts_test.cc).
inline bool watchesEarlyStarts = false;
void addDeviceMemory(const void* start, size_t bytes);
void removeDeviceMemory(const void* start);
void noteDeviceAccess(const void* address, size_t bytes, Access access);
void noteWaitForPrevious();
void noteLetNextStart();
void startKernel(bool isEarly);
void startEarlyBlock();
std::string findEarlyAccess();  // in the block that ends; empty: none
std::string endKernel();        // what else is wrong

struct Copy {
    void* to;
    const void* from;
    bool present;
};

struct Barrier {
    int arrived = 0, members = 0;
    unsigned phase = 0;
};

// Runs one thread of every block, one block after the other.
struct Fiber {
    ucontext_t start;  // used once: swapcontext asks the kernel about signals each time, _longjmp does not
    jmp_buf resume;
    std::unique_ptr<char[]> stack;  // none before the start
    dim3 threadIndex;
    int thread = 0;
    bool done = false;
    bool hasWaited = false;  // waitForPrevious
    unsigned blockPhase = 0, warpPhase = 0;  // barriers passed
    unsigned warpOrder = 0;                  // of them __syncwarp, which orders memory: shuffles, votes and mma do not
    const Barrier* awaited = nullptr;        // and the phase it must reach
    unsigned awaitedPhase = 0;
    std::vector<Copy> openCopies;
    std::deque<std::vector<Copy>> copyGroups;

    bool canRun() const { return !done && (!awaited || int(awaited->phase - awaitedPhase) >= 0); }
};

struct Warp {
    Barrier barrier;
    const char* meeting;              // the collective at which lanes are waiting
    uint32_t lanes[2][kWarpSize][8];  // what each lane offers to it; the next one uses the other half
    float products[2][16][8];         // of an mma
};

struct Block {
    ucontext_t unused;
    jmp_buf scheduler;
    std::deque<Fiber> fibers;  // which stay where they are
    std::vector<Warp> warps;
    Barrier barrier;
    Fiber* current = nullptr;
    dim3 blockIndex, blockSize, gridSize;
    std::vector<char> dynamicShared;
    std::function<void()> body;
    std::string error;  // undefined behaviour on a GPU that goes on here
};

inline Block block;
inline uint32_t shuffleSeed = 1;

inline void yield() {
    if (_setjmp(block.current->resume) == 0) _longjmp(block.scheduler, 1);
}

inline void wait(Barrier& barrier, unsigned& passed) {
    Fiber& fiber = *block.current;
    passed++;
    if (++barrier.arrived == barrier.members) {
        barrier.arrived = 0;
        barrier.phase++;
        return;
    }
    fiber.awaited = &barrier;
    fiber.awaitedPhase = passed;
    yield();
    fiber.awaited = nullptr;
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
    for (;;) {
        block.body();
        Fiber& fiber = *block.current;
        fiber.done = true;
        leave(block.barrier);
        leave(warp().barrier);
        yield();  // until the next block starts
    }
}

inline void resume(Fiber& fiber) {
    constexpr size_t kStackBytes = 128 * 1024;
    block.current = &fiber;
    if (_setjmp(block.scheduler) != 0) return;
    if (fiber.stack) _longjmp(fiber.resume, 1);
    fiber.stack = std::make_unique<char[]>(kStackBytes);
    getcontext(&fiber.start);
    fiber.start.uc_stack = {fiber.stack.get(), 0, kStackBytes};
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, enter, 0);
    swapcontext(&block.unused, &fiber.start);
}

// Lanes that diverged may meet in different instructions here; on a GPU they may not.
inline void meet(Warp& w, const char* name) {
    if (w.barrier.arrived == 0) w.meeting = name;
    if (strcmp(w.meeting, name) != 0) block.error = std::string("lanes of a warp meet in ") + w.meeting + " and " + name;
    if (strcmp(name, "mma") == 0 && w.barrier.members < kWarpSize) block.error = "a lane has returned before an mma of its warp";
}

// `name` tells instructions apart. Every lane offers `offer`; the last one to do so calls `combine`, if there is one; then each reads what it wants.
template <typename Offer, typename Combine, typename Read>
auto collective(const char* name, const Offer& offer, Combine combine, Read read) {
    static_assert(sizeof(Offer) <= sizeof(Warp::lanes[0][0]), "fits");
    Warp& w = warp();
    meet(w, name);
    const int half = block.current->warpPhase % 2;
    memcpy(w.lanes[half][lane()], &offer, sizeof offer);
    if (w.barrier.arrived + 1 == w.barrier.members) combine(w, half);
    wait(w.barrier, block.current->warpPhase);
    return read(w, half);
}

template <typename Offer, typename Read>
auto collective(const char* name, const Offer& offer, Read read) {
    return collective(name, offer, [](Warp&, int) {}, read);
}

template <typename T>
T offered(const Warp& w, int half, int lane) {
    T value;
    memcpy(&value, w.lanes[half][lane], sizeof value);
    return value;
}

inline void startThread(Fiber& fiber, int thread) {
    fiber.thread = thread;
    fiber.threadIndex = dim3(thread, 0, 0);
    fiber.done = fiber.hasWaited = false;
    fiber.blockPhase = fiber.warpPhase = fiber.warpOrder = 0;
    fiber.openCopies.clear();
    fiber.copyGroups.clear();
}

inline void runBlock(int threads) {
    while (int(block.fibers.size()) < threads) block.fibers.emplace_back();
    block.warps.assign((threads + kWarpSize - 1) / kWarpSize, {});
    block.barrier = {0, threads, 0};
    for (size_t i = 0; i < block.warps.size(); i++)
        block.warps[i].barrier.members = std::min(kWarpSize, threads - int(i) * kWarpSize);
    for (int thread = 0; thread < threads; thread++) startThread(block.fibers[thread], thread);
    for (int running = threads; running > 0;) {
        shuffleSeed = shuffleSeed * 1664525 + 1013904223;
        const int start = int(shuffleSeed >> 8) % threads;
        bool hangs = true;
        for (int i = 0; i < threads; i++) {
            Fiber& fiber = block.fibers[(start + i) % threads];
            if (!fiber.canRun()) continue;
            resume(fiber);
            running -= fiber.done;
            hangs = false;
        }
        if (hangs) throw std::runtime_error("emulated block hangs at a barrier");
    }
    block.current = nullptr;
}

inline void throwIfAny(const std::string& error) {
    if (!error.empty()) throw std::runtime_error(error);
}

inline void runKernel(bool isEarly, dim3 grid, int threads, size_t sharedBytes, std::function<void()> body) {
    block.blockSize = dim3(threads);
    block.gridSize = grid;
    block.body = std::move(body);
    startKernel(isEarly);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block.blockIndex = {x, y, z};
                block.dynamicShared.assign(sharedBytes + 128, char(0xff));
                startRaceDetection();
                startEarlyBlock();
                block.error.clear();
                runBlock(threads);
                throwIfAny(block.error);
                throwIfAny(findRace());
                throwIfAny(findEarlyAccess());
            }
    throwIfAny(endKernel());
}

}  // namespace emulator

template <typename... Args>
void launch(void (*kernel)(Args...), dim3 grid, int threads, size_t sharedBytes, cudaStream_t, Args... args) {
    emulator::runKernel(false, grid, threads, sharedBytes, [&] { kernel(args...); });
}

template <typename... Args>
void launchEarly(void (*kernel)(Args...), dim3 grid, int threads, cudaStream_t, Args... args) {
    emulator::runKernel(true, grid, threads, 0, [&] { kernel(args...); });
}

inline void letNextStart() { emulator::noteLetNextStart(); }
inline void waitForPrevious() { emulator::noteWaitForPrevious(); }

inline char* dynamicShared() {
    const uintptr_t start = reinterpret_cast<uintptr_t>(emulator::block.dynamicShared.data());
    return reinterpret_cast<char*>((start + 127) / 128 * 128);
}

// The collectives and instructions that our kernels use.

inline float mmaOperand(uint32_t bits, half) { return floatFromHalf(uint16_t(bits)); }
inline float mmaOperand(uint32_t bits, __nv_bfloat16) { return floatFromBfloat16(uint16_t(bits)); }

// Products of the fragments that tensor_core.cuh describes: words 0…3 of a lane's offer are A, 4 and 5 are B.
template <typename T>
void multiplyFragments(emulator::Warp& warp, int half) {
    float weights[16][16], tokens[16][8];  // [row][k], [k][column]
    for (int lane = 0; lane < kWarpSize; lane++)
        for (int word = 0; word < 6; word++)
            for (int i = 0; i < 2; i++) {
                const float value = mmaOperand(warp.lanes[half][lane][word] >> 16 * i, T());
                if (word < 4)
                    weights[lane / 4 + word % 2 * 8][lane % 4 * 2 + word / 2 * 8 + i] = value;
                else
                    tokens[lane % 4 * 2 + (word - 4) * 8 + i][lane / 4] = value;
            }
    for (int row = 0; row < 16; row++) {
        float sums[8] = {};
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++) sums[column] += weights[row][k] * tokens[k][column];
        memcpy(warp.products[half][row], sums, sizeof sums);
    }
}

template <typename T>
void mma16816(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, T) {
    struct Offer {
        uint32_t words[6];
    };
    emulator::collective("mma", Offer{{a[0], a[1], a[2], a[3], b0, b1}}, multiplyFragments<T>, [&](const emulator::Warp& w, int half) {
        const int g = emulator::lane() / 4, i = emulator::lane() % 4;
        for (int r = 0; r < 4; r++) c[r] += w.products[half][g + r / 2 * 8][2 * i + r % 2];
        return 0;
    });
}

inline void copyAsync16(void* shared, const void* global, bool present) {
    if (reinterpret_cast<uintptr_t>(shared) % 16 || reinterpret_cast<uintptr_t>(global) % 16)
        throw std::runtime_error("cp.async needs 16-byte alignment");
    emulator::noteAccess(shared, 16, emulator::Access::kWrite);  // from now on, at any time
    if (present) emulator::noteAccess(global, 16, emulator::Access::kRead);
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
        for (const emulator::Copy& copy : groups.front()) {
            emulator::noteAccess(copy.to, 16, emulator::Access::kWrite);
            copy.present ? memcpy(copy.to, copy.from, 16) : memset(copy.to, 0, 16);
        }
}

}  // namespace ernie

#define threadIdx (::ernie::emulator::block.current->threadIndex)
#define blockIdx (::ernie::emulator::block.blockIndex)
#define blockDim (::ernie::emulator::block.blockSize)
#define gridDim (::ernie::emulator::block.gridSize)

inline void __syncthreads() {
    ernie::emulator::wait(ernie::emulator::block.barrier, ernie::emulator::block.current->blockPhase);
}

inline void __syncwarp() {
    ernie::emulator::collective("__syncwarp", 0, [](const auto&, int) { return 0; });
    ernie::emulator::block.current->warpOrder++;
}

template <typename T>
T __shfl_sync(unsigned, T value, int source) {
    return ernie::emulator::collective("a shuffle", value, [&](const auto& w, int half) { return ernie::emulator::offered<T>(w, half, source % 32); });
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
    return __shfl_sync(mask, value, ernie::emulator::lane() ^ distance);
}

inline unsigned __ballot_sync(unsigned, bool vote) {
    return ernie::emulator::collective("a ballot", uint32_t(vote), [](const auto& w, int half) {
        unsigned mask = 0;
        for (int lane = 0; lane < 32; lane++) mask |= ernie::emulator::offered<uint32_t>(w, half, lane) << lane;
        return mask;
    });
}

inline unsigned __reduce_or_sync(unsigned, unsigned value) {
    return ernie::emulator::collective("a reduction", uint32_t(value), [](const auto& w, int half) {
        unsigned all = 0;
        for (int lane = 0; lane < 32; lane++) all |= ernie::emulator::offered<uint32_t>(w, half, lane);
        return all;
    });
}

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline float __ldcg(const float* address) { return *address; }
__attribute__((no_sanitize("thread"))) inline int atomicAdd(int* address, int value) {
    ernie::emulator::noteAccess(address, sizeof *address, ernie::emulator::Access::kAtomic);
    return (*address += value) - value;
}

namespace ernie {
inline int countArrival(int* counter) { return atomicAdd(counter, 1); }  // blocks run one after the other
}

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
