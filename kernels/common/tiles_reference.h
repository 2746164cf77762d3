// Tiled matrices read one element at a time, in doubles: what the reference of each op is made of.
#pragma once

#include <cmath>
#include <vector>

#include "activation_values.h"
#include "tiles.h"

namespace ernie {

// q − middle at row r, column c of a 16×32 block.
inline int codeAt(const uint8_t* block, int bits, int r, int c) {
    if (bits == 8) return block[c / 4 * 64 + 4 * r + c % 4] - 128;
    const int byte = block[c / 8 * 64 + 4 * r + c % 4];
    return (c % 8 < 4 ? byte & 15 : byte >> 4) - 8;
}

inline std::vector<double> loadRow(const void* values, size_t row, size_t columns, ActivationType type) {
    std::vector<double> x(columns);
    for (size_t c = 0; c < columns; c++) x[c] = load(values, row * columns + c, type);
    return x;
}

// One row of the matrix · x [columns].
inline double dotRow(const TiledMatrix& matrix, size_t row, const std::vector<double>& x) {
    const size_t blocks = matrix.columns / kBlockColumns, r = row % kTileRows;
    double sum = 0;
    for (size_t b = 0; b < blocks; b++) {
        const size_t block = row / kTileRows * blocks + b;
        const uint8_t* codes = matrix.codes + block * 64 * matrix.bits;
        double blockSum = 0;
        for (int c = 0; c < kBlockColumns; c++) blockSum += x[b * kBlockColumns + c] * codeAt(codes, matrix.bits, int(r), c);
        sum += blockSum * floatFromHalf(matrix.scales[block * kTileRows + r]);
    }
    return sum;
}

// silu(gate · x) · (up · x) of inner column i; tiles of gate and up alternate, `first` is the row of the first.
inline double gatedAt(const TiledMatrix& gateUp, size_t first, int i, const std::vector<double>& x) {
    const size_t gateRow = first + i / kTileRows * 2 * kTileRows + i % kTileRows;
    const double gate = dotRow(gateUp, gateRow, x);
    return gate / (1 + std::exp(-gate)) * dotRow(gateUp, gateRow + kTileRows, x);
}

}  // namespace ernie
