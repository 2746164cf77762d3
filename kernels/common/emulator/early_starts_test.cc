// Finds what kernels that start early (launchEarly) must not do before they wait: touch device memory that a kernel before them, which may still run, writes, or
// write what it reads. Which kernels may still run: the one before; and those that may when it starts, if each of its blocks lets the next one start, or
// ends, without having waited. Every access reports itself (shared_races_test.cc).

#include <utility>

#include "../cuda_emulator.h"

namespace ernie::emulator {
namespace {

// Number of the kernel that last did it; 0: none.
struct Touched {
    unsigned writer = 0, reader = 0;
};

struct Memory {
    const char* start;
    size_t bytes;
    std::vector<Touched> words;  // of 4 bytes
};

struct Kernel {
    unsigned number = 0, firstRunning = 0;  // those from firstRunning to number − 1 may still run when this one starts
    bool isEarly = false, hasWaited = false, startsNextAfterWait = false;
};

std::vector<Memory> memories;
Kernel kernel;
bool blockHasWaited, blockLetsNextStart;
std::string error;

void note(Touched& word, Access access) {
    const auto mayRun = [](unsigned number) { return number >= kernel.firstRunning && number > 0 && number < kernel.number; };
    const bool isTooEarly = kernel.isEarly && !block.current->hasWaited && (mayRun(word.writer) || (access != Access::kRead && mayRun(word.reader)));
    if (isTooEarly && error.empty())
        error = "thread " + std::to_string(block.current->thread) + " of a kernel that starts early " + (access == Access::kRead ? "reads" : "writes") +
                " before waitForPrevious() what a kernel before it may touch at the same time";
    (access == Access::kRead ? word.reader : word.writer) = kernel.number;
}

}  // namespace

void addDeviceMemory(const void* start, size_t bytes) { memories.push_back({static_cast<const char*>(start), bytes, {}}); }

void removeDeviceMemory(const void* start) {
    memories.erase(std::find_if(memories.begin(), memories.end(), [&](const Memory& memory) { return memory.start == start; }));
}

void noteDeviceAccess(const void* address, size_t bytes, Access access) {
    for (Memory& memory : memories) {
        const size_t offset = static_cast<const char*>(address) - memory.start;
        if (offset >= memory.bytes) continue;
        memory.words.resize(memory.bytes / 4 + 1);
        for (size_t word = offset / 4; word <= (offset + bytes - 1) / 4; word++) note(memory.words[word], access);
        return;
    }
}

void noteWaitForPrevious() { block.current->hasWaited = blockHasWaited = kernel.hasWaited = true; }

void noteLetNextStart() {
    if (std::exchange(blockLetsNextStart, true)) return;
    kernel.startsNextAfterWait |= block.current->hasWaited;
}

void startKernel(bool isEarly) {
    const Kernel before = kernel;
    kernel = {before.number + 1, before.number + 1, isEarly};
    if (isEarly) kernel.firstRunning = before.startsNextAfterWait ? before.number : before.firstRunning;
}

void startEarlyBlock() { blockHasWaited = blockLetsNextStart = false; }

std::string findEarlyAccess() {
    if (!blockLetsNextStart) kernel.startsNextAfterWait |= blockHasWaited;
    return std::exchange(error, "");
}

std::string endKernel() { return kernel.isEarly && !kernel.hasWaited ? "no thread of a kernel that starts early calls waitForPrevious()" : ""; }

}  // namespace ernie::emulator
