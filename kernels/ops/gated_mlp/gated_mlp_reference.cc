// The reference: what gated_mlp.h says, in obvious loops with double sums.

#include "../../common/tiles_reference.h"
#include "gated_mlp.h"

namespace ernie {

void gatedMlpReference(const GatedMlp& a) {
    const size_t hidden = a.down.rows, width = a.down.columns;
    std::vector<double> h(width);
    for (size_t t = 0; t < size_t(a.tokens); t++) {
        const std::vector<double> x = loadRow(a.x, t, hidden, a.type);
        for (size_t i = 0; i < width; i++) h[i] = gatedAt(a.gateUp, 0, int(i), x);
        for (size_t row = 0; row < hidden; row++) store(a.y, t * hidden + row, a.type, dotRow(a.down, row, h));
    }
}

}  // namespace ernie
