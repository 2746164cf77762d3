// RotaryQkv on the CPU: a token after the other, in loops that the compiler vectorizes.

#include <algorithm>

#include "../../common/elements.h"
#include "../../common/parallel.h"
#include "rotary_qkv.h"

namespace ernie {
namespace {

template <typename T>
void rotateHead(const T* __restrict x, const T* __restrict cosines, const T* __restrict sines, int pairs, T* __restrict y) {
    for (int i = 0; i < pairs; i++) {
        const float a = x[2 * i], b = x[2 * i + 1], cosine = cosines[i], sine = sines[i];
        y[2 * i] = a * cosine - b * sine;
        y[2 * i + 1] = a * sine + b * cosine;
    }
}

template <typename T>
void rotateToken(const RotaryQkv& a, size_t token) {
    const size_t pairs = a.headDim / 2, width = size_t(a.heads) * a.headDim, rotated = size_t(a.rotatedHeads) * a.headDim;
    const T* x = static_cast<const T*>(a.x) + token * width;
    T* y = static_cast<T*>(a.y) + token * width;
    const T* cosines = static_cast<const T*>(a.cosines) + token * pairs;
    const T* sines = static_cast<const T*>(a.sines) + token * pairs;
    for (size_t c = 0; c < rotated; c += a.headDim) rotateHead(x + c, cosines, sines, int(pairs), y + c);
    std::copy(x + rotated, x + width, y + rotated);
}

}  // namespace

void rotaryQkvCpu(const RotaryQkv& a, ParallelFor parallelFor) {
    withElementType(a.type, [&](auto element) {
        using T = decltype(element);
        forEachRow(parallelFor, a.tokens, size_t(a.heads) * a.headDim * sizeof(T), [&](size_t token) { rotateToken<T>(a, token); });
    });
}

}  // namespace ernie
