// QuantizedLinear as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the session's provider.
//
// inputs   0 x [..., K] T                      T = float, float16, bfloat16
//          1 codes [N/16, K/32, 64·bits] uint8      2 scales [N/16, K/32, 16] float16, weights both
// outputs  0 y [..., N] T

#include "../../common/cublas.h"
#include "quantized_linear.h"

namespace ernie {
namespace {

constexpr const char* kName = "QuantizedLinear";

struct Kernel {
    TiledMatrix weight;
    ActivationType type;
    bool isCuda;

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            Shape shape = shapeOf(context, 0);
            QuantizedLinear a{nullptr, context.GetInput(0).GetTensorRawData(), type, weight, tokensOf(shape, weight.columns, kName)};
            shape.back() = weight.rows;
            a.y = context.GetOutput(0, shape).GetTensorMutableRawData();
            if (a.tokens == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) return withWorkspace(context, quantizedLinearWorkspaceBytes(a), [&](void* workspace) { quantizedLinearCuda(a, workspace, cublasOf(context), streamOf(context)); });
#endif
            quantizedLinearCpu(a, poolOf(context));
        });
    }
};

struct Op : ActivationOp<Op, Kernel> {
    using ActivationOp::ActivationOp;

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return statusOf([&] { *kernel = new Kernel{matrixWeight(Ort::ConstKernelInfo(info), 1, kName), activationTypeOf(type), isCuda()}; });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return 3; }
    ONNXTensorElementDataType GetInputType(size_t input) const { return input == 0 ? type : matrixInputType(input - 1); }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return type; }
};

}  // namespace

void addQuantizedLinear(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
