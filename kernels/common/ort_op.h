// ONNX Runtime's C++ API, included here only, and what every op's *_op.cc does with it. The function table is set when the
// library is registered (library.cc).
#pragma once

#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#include <onnxruntime_cxx_api.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "contract.h"

namespace ernie {

using Shape = std::vector<int64_t>;

inline std::string show(const Shape& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

inline Shape shapeOf(const Ort::KernelContext& context, size_t input) { return context.GetInput(input).GetTensorTypeAndShapeInfo().GetShape(); }

// Exceptions must not cross the C interface.
template <typename Body>
OrtStatusPtr statusOf(Body body) {
    try {
        body();
        return nullptr;
    } catch (const std::exception& error) {
        return Ort::GetApi().CreateStatus(ORT_FAIL, error.what());
    }
}

inline ActivationType activationTypeOf(ONNXTensorElementDataType type) {
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) return ActivationType::kFloat16;
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16) return ActivationType::kBfloat16;
    return ActivationType::kFloat32;
}

// The session's threads.
inline ParallelFor poolOf(Ort::KernelContext& context) {
    const auto run = [](void* pool, void (*task)(void*, size_t), size_t count, void* taskContext) {
        static_cast<Ort::KernelContext*>(pool)->ParallelFor(task, count, 0, taskContext);
    };
    return {run, &context};
}

// What an op says of itself for one activation type T and one provider. Op adds the types of inputs and outputs, Kernel computes.
template <typename Op, typename Kernel>
struct ActivationOp : Ort::CustomOpBase<Op, Kernel, true> {
    ONNXTensorElementDataType type;
    const char* provider;

    ActivationOp(ONNXTensorElementDataType type, const char* provider) : type(type), provider(provider) {}
    bool isCuda() const { return std::string(provider) == "CUDAExecutionProvider"; }
    const char* GetExecutionProviderType() const { return provider; }
};

// Adds Op for every activation type: on the CPU and, where the library has CUDA kernels, on a GPU.
template <typename Op>
void addForEveryActivation(Ort::CustomOpDomain& domain) {
    static const std::vector<Op> ops = [] {
        std::vector<Op> all;
        for (const auto type : {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16}) {
            all.emplace_back(type, "CPUExecutionProvider");
#ifdef ERNIE_CUDA
            all.emplace_back(type, "CUDAExecutionProvider");
#endif
        }
        return all;
    }();
    for (const Op& op : ops) domain.Add(&op);
}

// One function per folder of ops/.
void addModalityMoe(Ort::CustomOpDomain& domain);

}  // namespace ernie
