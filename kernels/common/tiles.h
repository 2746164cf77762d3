// How quantized matrices lie in memory, for every kernel that reads them.
//
// Weights are symmetric integers, one fp16 scale per row and block of 32 columns: value = scale · (q − middle), q in
// 0…15 with middle 8 (bits 4) or 0…255 with middle 128 (bits 8). A matrix [rows, columns] is stored as tiles of 16 rows:
//   codes  [rows/16, columns/32, 16·32·bits/8]    scales [rows/16, columns/32, 16]
// so that one pass over a tile reads memory in order and each of 16 SIMD lanes owns a row. Inside a tile's block of 32
// columns, row r (0…15) and column c (0…31):
//   bits 8: byte (c / 4)·64 + 4r + c % 4
//   bits 4: byte (c / 8)·64 + 4r + c % 4, low nibble where c % 8 < 4, else high nibble
// Example, bits 4, row 2, columns 8…15: bytes 72…75 hold columns 8 9 10 11 low and 12 13 14 15 high.
// A 16×32 block of int4 is 256 bytes, which a warp reads as 8 bytes per lane: exactly the fragments of two m16n8k16 with
// rows and columns permuted (lane = 4·g + i reads byte 64i + 8g: rows 2g, 2g+1, columns 8i…8i+7).
#pragma once

#include <cstddef>
#include <cstdint>

namespace ernie {

constexpr int kBlockColumns = 32;
constexpr int kTileRows = 16;

struct TiledMatrix {
    const uint8_t* codes;
    const uint16_t* scales;  // fp16 as raw bits
    int rows, columns;       // multiples of kTileRows and kBlockColumns
    int bits;                // 4 or 8

    int middle() const { return bits == 4 ? 8 : 128; }  // the code of zero
    size_t bytes() const { return size_t(rows) * columns * bits / 8 + size_t(rows) * columns / kBlockColumns * 2; }
};

}  // namespace ernie
