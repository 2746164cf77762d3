// A random case of RotaryQkv for the tests; owns what the arguments point at.
#pragma once

#include "../../common/native_test.h"
#include "rotary_qkv.h"

namespace ernie {

struct Heads {
    int all, rotated, dim;
};

inline std::string show(const Heads& heads, int tokens, ActivationType type) {
    return std::to_string(tokens) + " tokens, " + std::to_string(heads.rotated) + " of " + std::to_string(heads.all) + " heads of " + std::to_string(heads.dim) + ", " + nameOf(type);
}

struct RotaryCase {
    Activations x, cosines, sines, y;
    RotaryQkv args;

    RotaryCase(const Heads& heads, int tokens, ActivationType type, uint32_t seed)
        : x(Activations::random(type, size_t(tokens) * heads.all * heads.dim, seed)), cosines(type, size_t(tokens) * heads.dim / 2), sines(cosines), y(type, x.count()) {
        const Activations angles = Activations::random(ActivationType::kFloat32, cosines.count(), seed + 1);
        for (size_t i = 0; i < cosines.count(); i++) {
            cosines.set(i, std::cos(angles.at(i)));
            sines.set(i, std::sin(angles.at(i)));
        }
        args = {y.bytes.data(), x.bytes.data(), cosines.bytes.data(), sines.bytes.data(), type, tokens, heads.all, heads.rotated, heads.dim};
    }
    RotaryCase(const RotaryCase&) = delete;

    Activations reference() {
        rotaryQkvReference(args);
        return y;
    }
};

// Whether the difference to the reference is rounding, and whether v came over bit for bit.
inline void checkAgainstReference(const Activations& got, RotaryCase& rotary, const std::string& what) {
    const Activations wanted = rotary.reference();
    const RotaryQkv& a = rotary.args;
    check(worstError(got, wanted) <= 2 * toleranceOf(a.type), what);
    const size_t elementBytes = got.bytes.size() / got.count(), tokenBytes = size_t(a.heads) * a.headDim * elementBytes;
    bool isCopied = true;
    for (int t = 0; t < a.tokens; t++) {
        const size_t first = t * tokenBytes + size_t(a.rotatedHeads) * a.headDim * elementBytes;
        isCopied &= std::equal(got.bytes.begin() + first, got.bytes.begin() + (t + 1) * tokenBytes, rotary.x.bytes.begin() + first);
    }
    check(isCopied, what + ": v is copied");
}

}  // namespace ernie
