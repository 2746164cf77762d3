// The reference: what modality_moe.h says, in obvious loops with double sums. Slow on purpose.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "../../common/tiles_reference.h"
#include "modality_moe.h"

namespace ernie {
namespace {

double rounded(double value, ActivationType type) {
    if (type == ActivationType::kFloat16) return floatFromHalf(halfFromFloat(float(value)));
    if (type == ActivationType::kBfloat16) return floatFromBfloat16(bfloat16FromFloat(float(value)));
    return value;
}

// y += weight · what one of the experts in gateUp and down gives.
void addExpert(std::vector<double>& y, double weight, const TiledMatrix& gateUp, const TiledMatrix& down, size_t expert, const std::vector<double>& x, ActivationType hiddenType) {
    const size_t width = down.columns, hidden = y.size();
    std::vector<double> h(width);
    for (size_t i = 0; i < width; i++) h[i] = rounded(gatedAt(gateUp, 2 * expert * width, int(i), x), hiddenType);
    for (size_t row = 0; row < hidden; row++) y[row] += weight * dotRow(down, expert * hidden + row, h);
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
        const std::vector<double> x = loadRow(a.x, t, a.hidden, a.type);
        std::vector<double> y(a.hidden, 0);

        const std::vector<double> p = probabilities(a, bank, x);
        std::vector<int> order(a.experts);
        std::iota(order.begin(), order.end(), 0);
        const auto score = [&](int e) { return p[e] + a.correctionBias[size_t(bank) * a.experts + e]; };
        std::stable_sort(order.begin(), order.end(), [&](int left, int right) { return score(left) > score(right); });
        double sum = 0;
        for (int k = 0; k < a.topK; k++) sum += p[order[k]];

        for (int k = 0; k < a.topK; k++) {
            const double weight = p[order[k]] / std::max(sum, double(a.normMin));
            addExpert(y, weight, gateUpOf(a, a.banks[bank]), downOf(a, a.banks[bank]), order[k], x, hiddenType);
        }
        if (a.hasShared()) addExpert(y, 1, a.sharedGateUp, a.sharedDown, 0, x, hiddenType);
        for (int c = 0; c < a.hidden; c++) store(a.y, size_t(t) * a.hidden + c, a.type, y[c]);
    }
}

}  // namespace ernie
