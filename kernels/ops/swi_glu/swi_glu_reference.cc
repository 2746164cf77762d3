// The reference: what swi_glu.h says, in obvious loops and doubles.

#include <cmath>

#include "../../common/activation_values.h"
#include "swi_glu.h"

namespace ernie {

void swiGluReference(const SwiGlu& a) {
    for (size_t row = 0; row < size_t(a.rows); row++)
        for (int i = 0; i < a.width; i++) {
            const double gate = load(a.x, row * 2 * a.width + i, a.type), up = load(a.x, row * 2 * a.width + a.width + i, a.type);
            store(a.y, row * a.width + i, a.type, gate / (1 + std::exp(-gate)) * up);
        }
}

}  // namespace ernie
