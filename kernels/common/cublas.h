// cuBLAS: the library that ONNX Runtime's CUDA provider has loaded, with the handle of the session's stream. Our library is not linked to it, so that it
// loads where there is none. Constants are those of cublas_api.h, library_types.h and ONNX Runtime's cuda_resource.h.
#pragma once

#include <dlfcn.h>

#include "dense_product.h"
#include "ort_op.h"

namespace ernie {

using CublasGemmEx = int (*)(void* handle, int transposesA, int transposesB, int m, int n, int k, const void* alpha, const void* a, int aType, int aStride,
                             const void* b, int bType, int bStride, const void* beta, void* c, int cType, int cStride, int computeType, int algorithm);

inline CublasGemmEx cublasGemmEx() {
    static const CublasGemmEx found = [] {
        void* library = dlopen("libcublas.so.13", RTLD_NOW | RTLD_NOLOAD);
        void* symbol = library ? dlsym(library, "cublasGemmEx") : nullptr;
        if (!symbol) throw std::runtime_error("libcublas.so.13 is not loaded; the CUDA provider of ONNX Runtime for CUDA 13 brings it");
        return reinterpret_cast<CublasGemmEx>(symbol);
    }();
    return found;
}

inline QueueProduct cublasOf(Ort::KernelContext& context) {
    constexpr int kResourceVersion = 3, kCublasHandle = 10002;
    void* handle = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetResource(context.GetOrtKernelContext(), kResourceVersion, kCublasHandle, &handle));
    if (!handle) throw std::runtime_error("the CUDA provider gives no cuBLAS handle; the library is for ONNX Runtime 1.29");
    return [handle](const DenseProduct& p) {
        constexpr int kPlain = 0, kTransposed = 1, kFloatSums = 68, kExactFloatSums = 69, kDefaultAlgorithm = -1;
        const auto typeOf = [](ActivationType type) { return type == ActivationType::kFloat32 ? 0 : type == ActivationType::kFloat16 ? 2 : 14; };
        const float one = 1, beta = p.adds ? 1 : 0;
        const int type = typeOf(p.type), sums = p.type == ActivationType::kFloat32 ? kExactFloatSums : kFloatSums;
        // To cuBLAS matrices are stored by columns: it computes yᵀ [rows, tokens].
        const int status = cublasGemmEx()(handle, kTransposed, kPlain, p.rows, p.tokens, p.columns, &one, p.weight, type, p.columns, p.x, type, p.columns, &beta,
                                          p.y, typeOf(p.yType), p.yStride, sums, kDefaultAlgorithm);
        if (status != 0) throw std::runtime_error("cublasGemmEx failed with status " + std::to_string(status));
    };
}

}  // namespace ernie
