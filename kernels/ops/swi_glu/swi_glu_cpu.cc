// SwiGlu on the CPU: a row after the other, in a loop that the compiler vectorizes.

#include "../../common/elements.h"
#include "../../common/parallel.h"
#include "../../common/silu.h"
#include "swi_glu.h"

namespace ernie {
namespace {

template <typename T>
void gateRow(const T* __restrict gate, const T* __restrict up, int width, T* __restrict y) {
    for (int i = 0; i < width; i++) y[i] = silu(gate[i]) * up[i];
}

}  // namespace

void swiGluCpu(const SwiGlu& a, ParallelFor parallelFor) {
    withElementType(a.type, [&](auto element) {
        using T = decltype(element);
        forEachRow(parallelFor, a.rows, 2 * size_t(a.width) * sizeof(T), [&](size_t row) {
            const T* gate = static_cast<const T*>(a.x) + row * 2 * a.width;
            gateRow(gate, gate + a.width, a.width, static_cast<T*>(a.y) + row * a.width);
        });
    });
}

}  // namespace ernie
