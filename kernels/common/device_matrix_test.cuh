// A random matrix on the device.
#pragma once

#include "device_array.cuh"
#include "matrix_test.h"

namespace ernie {

struct DeviceMatrix {
    DeviceArray<uint8_t> codes;
    DeviceArray<uint16_t> scales;
    TiledMatrix matrix;

    explicit DeviceMatrix(const RandomMatrix& host) : codes(host.codes), scales(host.scales), matrix(host.matrix) {
        matrix.codes = codes.get();
        matrix.scales = scales.get();
    }
};

}  // namespace ernie
