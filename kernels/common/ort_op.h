// ONNX Runtime's C++ API, included here only. The function table is set when the library is registered (library.cc).
#pragma once

#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#include <onnxruntime_cxx_api.h>

namespace ernie {

// Adds every element type and execution provider of an op to the domain.
void addModalityMoe(Ort::CustomOpDomain& domain);

}  // namespace ernie
