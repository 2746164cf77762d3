// The rotary position embedding of results of a linear layer, with a row of cosines and sines per token. For row 2i of a head of token t:
//   y[2i]     = a · cosines[t, i] − b · sines[t, i]          a, b: what the layer computes for rows 2i and 2i + 1
//   y[2i + 1] = a · sines[t, i] + b · cosines[t, i]
#pragma once

namespace ernie {

struct Rotation {
    const float* cosines;  // [tokens, headDim / 2], or null: nothing is rotated
    const float* sines;    // the same
    int headDim;           // even
    int rows;              // of the result's, the first, are whole heads that are rotated
};

}  // namespace ernie
