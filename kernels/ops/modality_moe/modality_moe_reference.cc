// The reference: what modality_moe.h says, in obvious loops with double sums. Slow on purpose.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "../../common/activation_values.h"
#include "modality_moe.h"

namespace ernie {
namespace {

// q − middle at row r, column c of a 16×32 block.
int codeAt(const uint8_t* block, int bits, int r, int c) {
    if (bits == 8) return block[c / 4 * 64 + 4 * r + c % 4] - 128;
    const int byte = block[c / 8 * 64 + 4 * r + c % 4];
    return (c % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

// One row of a tiled matrix · x.
double dotRow(const uint8_t* codes, const uint16_t* scales, int bits, int row, const std::vector<double>& x) {
    const size_t blocks = x.size() / kBlockColumns, r = row % kTileRows;
    double sum = 0;
    for (size_t b = 0; b < blocks; b++) {
        const size_t block = row / kTileRows * blocks + b;
        double blockSum = 0;
        for (int c = 0; c < kBlockColumns; c++) blockSum += x[b * kBlockColumns + c] * codeAt(codes + block * 64 * bits, bits, int(r), c);
        sum += blockSum * floatFromHalf(scales[block * kTileRows + r]);
    }
    return sum;
}

double rounded(double value, ActivationType type) {
    if (type == ActivationType::kFloat16) return floatFromHalf(halfFromFloat(float(value)));
    if (type == ActivationType::kBfloat16) return floatFromBfloat16(bfloat16FromFloat(float(value)));
    return value;
}

std::vector<double> expertOutput(const ModalityMoe& a, const ExpertBank& bank, int expert, const std::vector<double>& x, ActivationType hiddenType) {
    const size_t weights = size_t(expert) * bank.width * a.hidden;  // of one matrix, before this expert
    const uint8_t* gateUp = bank.gateUp + 2 * weights * a.bits / 8;
    const uint16_t* gateUpScales = bank.gateUpScales + 2 * weights / kBlockColumns;
    const uint8_t* down = bank.down + weights * a.bits / 8;
    const uint16_t* downScales = bank.downScales + weights / kBlockColumns;

    std::vector<double> h(bank.width), y(a.hidden);
    for (int i = 0; i < bank.width; i++) {
        const int gateRow = i / kTileRows * 2 * kTileRows + i % kTileRows;
        const double gate = dotRow(gateUp, gateUpScales, a.bits, gateRow, x);
        const double up = dotRow(gateUp, gateUpScales, a.bits, gateRow + kTileRows, x);
        h[i] = rounded(gate / (1 + std::exp(-gate)) * up, hiddenType);
    }
    for (int row = 0; row < a.hidden; row++) y[row] = dotRow(down, downScales, a.bits, row, h);
    return y;
}

std::vector<double> probabilities(const ModalityMoe& a, int bank, const std::vector<double>& x) {
    std::vector<double> p(a.experts, 0);
    for (int e = 0; e < a.experts; e++)
        for (int c = 0; c < a.hidden; c++) p[e] += x[c] * a.router[(size_t(bank) * a.experts + e) * a.hidden + c];
    const double largest = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& value : p) sum += value = std::exp(value - largest);
    for (double& value : p) value /= sum;
    return p;
}

}  // namespace

void modalityMoeReference(const ModalityMoe& a, ActivationType hiddenType) {
    for (int t = 0; t < a.tokens; t++) {
        const int bank = a.visionExpert[t] ? 1 : 0;
        std::vector<double> x(a.hidden), y(a.hidden, 0);
        for (int c = 0; c < a.hidden; c++) x[c] = load(a.x, size_t(t) * a.hidden + c, a.type);

        const std::vector<double> p = probabilities(a, bank, x);
        std::vector<int> order(a.experts);
        std::iota(order.begin(), order.end(), 0);
        const auto score = [&](int e) { return p[e] + a.correctionBias[size_t(bank) * a.experts + e]; };
        std::stable_sort(order.begin(), order.end(), [&](int left, int right) { return score(left) > score(right); });
        double sum = 0;
        for (int k = 0; k < a.topK; k++) sum += p[order[k]];

        for (int k = 0; k < a.topK; k++) {
            const double weight = p[order[k]] / std::max(sum, double(a.normMin));
            const std::vector<double> out = expertOutput(a, a.banks[bank], order[k], x, hiddenType);
            for (int c = 0; c < a.hidden; c++) y[c] += weight * out[c];
        }
        for (int c = 0; c < a.hidden; c++) store(a.y, size_t(t) * a.hidden + c, a.type, y[c]);
    }
}

}  // namespace ernie
