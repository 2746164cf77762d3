// Finds races in the shared memory of emulated blocks: threads that touch the same word, one of them to write, with no __syncthreads between them and, within
// a warp, no __syncwarp. Every access reports itself: kernels are compiled with -fsanitize=thread, whose calls are answered here instead of by its
// library (this file is compiled without). Words of 4 bytes are told apart, and bytes where an access is shorter.

#include <utility>

#include "../cuda_emulator.h"

// Where __shared__ variables lie: with all others of static storage that nothing initializes (named by the linker).
extern "C" char __bss_start[], _end[];

namespace ernie::emulator {
namespace {

struct Place {
    int thread = -1;  // kNobody, or kSeveral
    unsigned blockPhase = 0, warpOrder = 0;
};

constexpr int kNobody = -1, kSeveral = -2;

// What has been done with a word since the block began.
struct Word {
    unsigned block = 0;
    Place write, atomic, read;
    int readWarp = 0;  // of the reads; or kSeveral
};

std::vector<Word> staticWords, dynamicWords;  // one for each byte; of longer accesses the first byte of four counts
std::vector<char*> touched;                   // of static shared memory, in this block
unsigned blocks = 0;
std::string race;

size_t staticBytes() { return _end - __bss_start; }

template <typename T>
bool isPartOf(const T& object, const void* address) {
    return size_t(static_cast<const char*>(address) - reinterpret_cast<const char*>(&object)) < sizeof object;
}

bool isBefore(const Place& earlier, int warp, const Fiber& now) {
    if (earlier.thread == kNobody || earlier.thread == now.thread || earlier.blockPhase < now.blockPhase) return true;
    return warp == now.thread / kWarpSize && earlier.warpOrder < now.warpOrder;
}

bool isBefore(const Place& earlier, const Fiber& now) { return isBefore(earlier, earlier.thread / kWarpSize, now); }

void noteRead(Word& word, const Fiber& now) {
    Place& read = word.read;
    const int warp = now.thread / kWarpSize;
    const bool isFirst = read.thread == kNobody || read.blockPhase < now.blockPhase;
    word.readWarp = isFirst || word.readWarp == warp ? warp : kSeveral;
    const bool isAlone = isFirst || read.thread == now.thread || (word.readWarp == warp && read.warpOrder < now.warpOrder);
    read = {isAlone ? now.thread : kSeveral, now.blockPhase, isFirst ? now.warpOrder : std::max(read.warpOrder, now.warpOrder)};
}

// Atomics do not race with each other.
bool races(const Word& word, Access access, const Fiber& now) {
    if (!isBefore(word.write, now)) return true;
    if (access != Access::kAtomic && !isBefore(word.atomic, now)) return true;
    return access != Access::kRead && !isBefore(word.read, word.readWarp, now);
}

void note(Word& word, char* address, bool isStatic, Access access) {
    const Fiber& now = *block.current;
    if (word.block != blocks) {
        word = Word();
        word.block = blocks;
        if (isStatic) touched.push_back(address);
    }
    if (races(word, access, now) && race.empty()) {
        const int other = word.write.thread >= 0 ? word.write.thread : word.atomic.thread >= 0 ? word.atomic.thread : word.read.thread;
        race = "race in shared memory: thread " + std::to_string(now.thread) + (access == Access::kRead ? " reads" : " writes") + " what " +
               (other >= 0 ? "thread " + std::to_string(other) : "several threads") + " may touch at the same time, byte " +
               std::to_string(address - (isStatic ? __bss_start : block.dynamicShared.data())) + (isStatic ? " of the static part" : " of the dynamic part");
    }
    const Place place{now.thread, now.blockPhase, now.warpOrder};
    if (access == Access::kWrite) word.write = place;
    if (access == Access::kAtomic) word.atomic = place;
    if (access == Access::kRead) noteRead(word, now);
}

void noteIn(std::vector<Word>& words, char* start, size_t offset, size_t bytes, bool isStatic, Access access) {
    for (size_t byte = 0; byte < bytes; byte += bytes < 4 ? 1 : 4) note(words[offset + byte], start + offset + byte, isStatic, access);
}

}  // namespace

void noteAccess(const void* address, size_t bytes, Access access) {
    if (!block.current) return;
    const size_t inStatic = static_cast<const char*>(address) - __bss_start, inDynamic = static_cast<const char*>(address) - block.dynamicShared.data();
    if (inStatic < staticBytes() && !isPartOf(block, address)) noteIn(staticWords, __bss_start, inStatic, bytes, true, access);
    if (inDynamic < block.dynamicShared.size()) noteIn(dynamicWords, block.dynamicShared.data(), inDynamic, bytes, false, access);
    if (watchesEarlyStarts) noteDeviceAccess(address, bytes, access);
}

void startRaceDetection() {
    blocks++;
    staticWords.resize(staticBytes());
    if (dynamicWords.size() < block.dynamicShared.size()) dynamicWords.resize(block.dynamicShared.size());
}

std::string findRace() {
    for (char* word : touched) memset(word, 0xff, std::min(ptrdiff_t(4), _end - word));  // to the next block it is undefined
    touched.clear();
    return std::exchange(race, "");
}

}  // namespace ernie::emulator

#define ERNIE_ACCESSES(bytes)                                                                                                                            \
    void __tsan_read##bytes(void* at) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kRead); }                                      \
    void __tsan_write##bytes(void* at) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kWrite); }                                    \
    void __tsan_unaligned_read##bytes(void* at) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kRead); }                            \
    void __tsan_unaligned_write##bytes(void* at) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kWrite); }

extern "C" {
ERNIE_ACCESSES(1)
ERNIE_ACCESSES(2)
ERNIE_ACCESSES(4)
ERNIE_ACCESSES(8)
ERNIE_ACCESSES(16)
void __tsan_read_range(void* at, size_t bytes) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kRead); }
void __tsan_write_range(void* at, size_t bytes) { ernie::emulator::noteAccess(at, bytes, ernie::emulator::Access::kWrite); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_init() {}
}
