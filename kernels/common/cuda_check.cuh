// CUDA_CHECK(call): throws with file, line and CUDA's own words when a call fails. The op turns it into an OrtStatus, which
// reaches JavaScript as an error.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace ernie {

inline void cudaCheck(cudaError_t error, const char* call, const char* file, int line) {
    if (error == cudaSuccess) return;
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                             cudaGetErrorString(error));
}

}  // namespace ernie

#define CUDA_CHECK(call) ::ernie::cudaCheck((call), #call, __FILE__, __LINE__)
