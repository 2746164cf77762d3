// The reference: what quantized_linear.h says, in obvious loops with double sums.

#include "../../common/tiles_reference.h"
#include "quantized_linear.h"

namespace ernie {

void quantizedLinearReference(const QuantizedLinear& a) {
    const auto [rows, columns] = std::pair<size_t, size_t>(a.weight.rows, a.weight.columns);
    for (size_t t = 0; t < size_t(a.tokens); t++) {
        const std::vector<double> x = loadRow(a.x, t, columns, a.type);
        for (size_t row = 0; row < rows; row++) store(a.y, t * rows + row, a.type, dotRow(a.weight, row, x));
    }
}

}  // namespace ernie
