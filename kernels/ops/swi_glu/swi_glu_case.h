// A random case of SwiGlu for the tests; owns what the arguments point at.
#pragma once

#include "../../common/native_test.h"
#include "swi_glu.h"

namespace ernie {

struct SwiGluCase {
    Activations x, y;
    SwiGlu args;

    SwiGluCase(int rows, int width, ActivationType type, uint32_t seed) : x(Activations::random(type, size_t(rows) * 2 * width, seed)), y(type, size_t(rows) * width) {
        args = {y.bytes.data(), x.bytes.data(), type, rows, width};
    }
    SwiGluCase(const SwiGluCase&) = delete;

    Activations reference() {
        swiGluReference(args);
        return y;
    }
    std::string show() const { return std::to_string(args.rows) + " rows of " + std::to_string(args.width) + ", " + nameOf(args.type); }
};

}  // namespace ernie
