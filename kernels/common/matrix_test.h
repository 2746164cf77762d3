// What the native tests of kernels over quantized weights share: random matrices, and how far a result is off.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "half.h"
#include "native_test.h"
#include "tiles.h"

namespace ernie {

// Root mean square of the difference over that of the wanted values.
inline double relativeError(const std::vector<double>& got, const std::vector<double>& wanted) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < got.size(); i++) {
        difference += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    return std::sqrt(difference / size);
}

inline double relativeError(const Activations& got, const Activations& wanted) {
    std::vector<double> a, b;
    for (size_t i = 0; i < wanted.count(); i++) a.push_back(got.at(i)), b.push_back(wanted.at(i));
    return relativeError(a, b);
}

// Every code at random; buffers have their exact size, so that the address sanitizer sees any read beyond them.
struct RandomMatrix {
    std::vector<uint8_t> codes;
    std::vector<uint16_t> scales;
    TiledMatrix matrix;

    RandomMatrix(int rows, int columns, int bits, std::mt19937_64& random)
        : codes(size_t(rows) * columns * bits / 8), scales(size_t(rows) * columns / kBlockColumns) {
        std::normal_distribution<float> normal;
        for (uint8_t& code : codes) code = uint8_t(random());
        for (uint16_t& scale : scales) scale = halfFromFloat(normal(random) * (bits == 4 ? 0.03f : 0.002f));
        matrix = {codes.data(), scales.data(), rows, columns, bits};
    }
};

inline std::vector<float> randomFloats(size_t count, std::mt19937_64& random) {
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random);
    return values;
}

inline std::vector<double> doublesOf(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace ernie
