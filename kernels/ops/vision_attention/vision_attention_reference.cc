// The reference: what vision_attention.h says, in obvious loops with double sums.

#include <algorithm>
#include <cmath>
#include <vector>

#include "vision_attention.h"

namespace ernie {
namespace {

std::vector<double> rotatedRow(const VisionAttention& a, const float* row, size_t patch) {
    const int half = a.headDim / 2;
    std::vector<double> out(a.headDim);
    for (int i = 0; i < half; i++) {
        const double c = a.cosines[patch * half + i], s = a.sines[patch * half + i];
        out[i] = row[i] * c - row[i + half] * s;
        out[i + half] = row[i + half] * c + row[i] * s;
    }
    return out;
}

}  // namespace

void visionAttentionReference(const VisionAttention& a) {
    const size_t patches = a.patches, hidden = size_t(a.heads) * a.headDim;
    for (size_t frame = 0; frame < size_t(a.frames); frame++)
        for (size_t head = 0; head < size_t(a.heads); head++) {
            const auto row = [&](size_t patch, size_t part) { return a.qkv + ((frame * patches + patch) * 3 + part) * hidden + head * a.headDim; };
            std::vector<std::vector<double>> keys;
            for (size_t patch = 0; patch < patches; patch++) keys.push_back(rotatedRow(a, row(patch, 1), patch));
            for (size_t patch = 0; patch < patches; patch++) {
                const std::vector<double> query = rotatedRow(a, row(patch, 0), patch);
                std::vector<double> scores(patches), y(a.headDim);
                for (size_t key = 0; key < patches; key++) {
                    for (int i = 0; i < a.headDim; i++) scores[key] += query[i] * keys[key][i];
                    scores[key] /= std::sqrt(double(a.headDim));
                }
                const double largest = *std::max_element(scores.begin(), scores.end());
                double sum = 0;
                for (size_t key = 0; key < patches; key++) {
                    const double p = std::exp(scores[key] - largest);
                    sum += p;
                    for (int i = 0; i < a.headDim; i++) y[i] += p * row(key, 2)[i];
                }
                for (int i = 0; i < a.headDim; i++) a.y[(frame * patches + patch) * hidden + head * a.headDim + i] = float(y[i] / sum);
            }
        }
}

}  // namespace ernie
