// The reference: what rotary_qkv.h says, in obvious loops and doubles.

#include "../../common/activation_values.h"
#include "rotary_qkv.h"

namespace ernie {

void rotaryQkvReference(const RotaryQkv& a) {
    const int pairs = a.headDim / 2;
    for (int t = 0; t < a.tokens; t++)
        for (int h = 0; h < a.heads; h++)
            for (int i = 0; i < pairs; i++) {
                const size_t first = (size_t(t) * a.heads + h) * a.headDim + 2 * i, angle = size_t(t) * pairs + i;
                const bool isRotated = h < a.rotatedHeads;
                const double cosine = isRotated ? load(a.cosines, angle, a.type) : 1, sine = isRotated ? load(a.sines, angle, a.type) : 0;
                const double x0 = load(a.x, first, a.type), x1 = load(a.x, first + 1, a.type);
                store(a.y, first, a.type, isRotated ? x0 * cosine - x1 * sine : x0);
                store(a.y, first + 1, a.type, isRotated ? x0 * sine + x1 * cosine : x1);
            }
}

}  // namespace ernie
