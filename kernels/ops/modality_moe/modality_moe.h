// ModalityMoe: the experts of one layer. Every token is routed inside its own bank (text or vision) and gets the weighted sum of its
// topK best experts, plus the output of the shared experts if the layer has any. This header is the contract of all kernels.
//
// For token t with bank m = visionExpert[t] (0 text, 1 vision), everything in fp32:
//   p      = softmax over e of (x[t] · router[m, e])
//   chosen = the topK experts with the largest p[e] + correctionBias[m, e]; of equal ones the lower index
//   w[e]   = p[e] / max(sum of p over the chosen, normMin)
//   y[t]   = sum over the chosen of w[e] · down_e · (silu(gate_e · x[t]) * (up_e · x[t])),   silu(z) = z / (1 + exp(-z))
//            + down · (silu(gate · x[t]) * (up · x[t])) of the shared experts, which are one matrix each
//
// Weights are tiles of 16 rows (common/tiles.h) of 4 or 8 bits.
// gateUp has 2·width rows: tile 2i is gate rows 16i…16i+15, tile 2i+1 is up rows 16i…16i+15.
//
// Limits: hidden and all widths are multiples of 32 (the converter pads a width with zero weights), experts ≤ kMaxExperts,
// topK ≤ min(experts, kMaxTopK), tokens ≥ 0. A token with NaN or Inf in x gets unspecified values (NaN where the format
// has them); other tokens are not affected and nothing else happens.
#pragma once

#include "../../common/contract.h"
#include "../../common/cpu_lanes.h"
#include "../../common/dense_product.h"
#include "../../common/tiles.h"

namespace ernie {

constexpr int kMaxExperts = 128;
constexpr int kMaxTopK = 8;

// Routed experts of one modality. E experts, I = width, H = hidden; fp16 scales as raw bits.
struct ExpertBank {
    const uint8_t* gateUp;         // [E, 2I/16, H/32, 64·bits]
    const uint16_t* gateUpScales;  // [E, 2I/16, H/32, 16]
    const uint8_t* down;           // [E, H/16, I/32, 64·bits]
    const uint16_t* downScales;    // [E, H/16, I/32, 16]
    int width;
};

struct ModalityMoe {
    void* y;                      // [tokens, hidden] of type
    const void* x;                // [tokens, hidden] of type
    const uint8_t* visionExpert;  // [tokens] 0 or 1
    const float* router;          // [2, experts, hidden]; 0 text, 1 vision
    const float* correctionBias;  // [2, experts]
    ExpertBank banks[2];          // 0 text, 1 vision
    ActivationType type;
    int tokens, hidden, experts, topK;
    int bits;  // 4 or 8, both banks
    float normMin;
    TiledMatrix sharedGateUp = {}, sharedDown = {};  // [2·width, hidden], [hidden, width], of 8 or `bits`; no codes: no shared experts
    // CUDA: topK and the kernels of few tokens start before those before them have ended, where the GPU can (launchEarly). Not yet run on a GPU.
    bool startsEarly = false;
    // [tokens, topK] bank · experts + expert, the best score first; null: not wanted. Written by the CPU kernel only.
    int32_t* chosen = nullptr;

    bool hasShared() const { return sharedGateUp.codes != nullptr; }
};

// Both matrices of all experts of a bank, one below the other.
inline TiledMatrix gateUpOf(const ModalityMoe& a, const ExpertBank& bank) { return {bank.gateUp, bank.gateUpScales, a.experts * 2 * bank.width, a.hidden, a.bits}; }
inline TiledMatrix downOf(const ModalityMoe& a, const ExpertBank& bank) { return {bank.down, bank.downScales, a.experts * a.hidden, bank.width, a.bits}; }

// Obvious loops, double sums, one thread (modality_moe_reference.cc). A 16-bit hiddenType rounds silu(gate) · up once before
// down, as the CUDA kernels do; with kFloat32 it stays double.
void modalityMoeReference(const ModalityMoe& args, ActivationType hiddenType = ActivationType::kFloat32);

// modality_moe_cpu.cc: host pointers; scratch memory belongs to the calling thread and only grows.
void modalityMoeCpu(const ModalityMoe& args, ParallelFor parallelFor, CpuKernel kernel = bestCpuKernel());

// modality_moe.cu: device pointers. `workspace` and `dense` have at least the bytes that these two functions say, aligned to 256 bytes. (They are two buffers because `dense`
// has the size of a linear layer's workspace, so an arena can reuse that.) Nothing is allocated or synchronised, and shapes alone decide which
// kernels run, so a CUDA graph can capture the call.
size_t modalityMoeWorkspaceBytes(const ModalityMoe& args);
size_t modalityMoeDenseBytes(const ModalityMoe& args);
void modalityMoeCuda(const ModalityMoe& args, void* workspace, void* dense, const QueueProduct& queueProduct, CUstream_st* stream);

}  // namespace ernie
