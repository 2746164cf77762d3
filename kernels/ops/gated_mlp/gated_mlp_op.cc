// GatedMlp as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the session's provider.
//
// inputs   0 x [..., H] T                      T = float, float16, bfloat16
//          1 gate_up [2I/16, H/32, 64·bits] uint8      2 gate_up_scales [2I/16, H/32, 16] float16
//          3 down [H/16, I/32, 64·bits] uint8          4 down_scales [H/16, I/32, 16] float16; 1…4 are weights
// outputs  0 y, like x

#include "../../common/cublas.h"
#include "gated_mlp.h"

namespace ernie {
namespace {

constexpr const char* kName = "GatedMlp";

struct Kernel {
    TiledMatrix gateUp, down;
    ActivationType type;
    bool isCuda;

    Kernel(const Ort::ConstKernelInfo& info, ActivationType type, bool isCuda) : gateUp(matrixWeight(info, 1, kName)), down(matrixWeight(info, 3, kName)), type(type), isCuda(isCuda) {
        expectMlp(kName, gateUp, down);
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            const Shape shape = shapeOf(context, 0);
            GatedMlp a{nullptr, context.GetInput(0).GetTensorRawData(), type, gateUp, down, tokensOf(shape, gateUp.columns, kName)};
            a.y = context.GetOutput(0, shape).GetTensorMutableRawData();
            if (a.tokens == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) return withWorkspace(context, gatedMlpWorkspaceBytes(a), [&](void* workspace) { gatedMlpCuda(a, workspace, cublasOf(context), streamOf(context)); });
#endif
            gatedMlpCpu(a, poolOf(context));
        });
    }
};

struct Op : ActivationOp<Op, Kernel> {
    using ActivationOp::ActivationOp;

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return statusOf([&] { *kernel = new Kernel(Ort::ConstKernelInfo(info), activationTypeOf(type), isCuda()); });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return 5; }
    ONNXTensorElementDataType GetInputType(size_t input) const { return input == 0 ? type : matrixInputType(input - 1); }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return type; }
};

}  // namespace

void addGatedMlp(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
