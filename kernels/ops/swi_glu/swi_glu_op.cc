// SwiGlu as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the session's provider.
//
// input    0 x [..., 2 · I] T     T = float, float16, bfloat16; gate | up, I is even
// output   0 y [..., I] T

#include "../../common/ort_op.h"
#include "swi_glu.h"

namespace ernie {
namespace {

struct Kernel {
    ActivationType type;
    bool isCuda;

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            Shape shape = shapeOf(context, 0);
            if (shape.empty() || shape.back() % 4 != 0) throw std::runtime_error("SwiGlu: x wants [..., 2I] with an even I, got " + show(shape));
            SwiGlu a{nullptr, context.GetInput(0).GetTensorRawData(), type, rowsOf(shape), int(shape.back() / 2)};
            shape.back() = a.width;
            a.y = context.GetOutput(0, shape).GetTensorMutableRawData();
            if (a.rows == 0 || a.width == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) return swiGluCuda(a, static_cast<CUstream_st*>(context.GetGPUComputeStream()));
#endif
            swiGluCpu(a, poolOf(context));
        });
    }
};

struct Op : ActivationOp<Op, Kernel> {
    using ActivationOp::ActivationOp;

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo*, void** kernel) const {
        return statusOf([&] { *kernel = new Kernel{activationTypeOf(type), isCuda()}; });
    }
    const char* GetName() const { return "SwiGlu"; }
    size_t GetInputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetInputType(size_t) const { return type; }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return type; }
};

}  // namespace

void addSwiGlu(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
