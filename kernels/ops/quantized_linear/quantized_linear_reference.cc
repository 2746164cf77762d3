// The reference: what quantized_linear.h says, in obvious loops with double sums.

#include "../../common/tiles_reference.h"
#include "quantized_linear.h"

namespace ernie {

void quantizedLinearReference(const QuantizedLinear& a) {
    const auto [rows, columns] = std::pair<size_t, size_t>(a.weight.rows, a.weight.columns);
    for (size_t t = 0; t < size_t(a.tokens); t++) {
        const std::vector<double> x = loadRow(a.x, t, columns, a.type);
        std::vector<double> y(rows);
        for (size_t row = 0; row < rows; row++) y[row] = dotRow(a.weight, row, x);
        const Rotation& r = a.rotation;
        for (int row = 0; r.cosines && row < r.rows; row += 2) {
            const size_t angle = t * (r.headDim / 2) + row % r.headDim / 2;
            const double even = y[row], odd = y[row + 1], cosine = r.cosines[angle], sine = r.sines[angle];
            y[row] = even * cosine - odd * sine;
            y[row + 1] = even * sine + odd * cosine;
        }
        for (size_t row = 0; row < rows; row++) store(a.y, t * rows + row, a.type, y[row]);
    }
}

}  // namespace ernie
