// QuantizedLinear as an ONNX Runtime op (domain ernie_vl), on the CPU.
//
// inputs   0 x [..., K] float
//          1 codes [N/16, K/32, 64·bits] uint8      2 scales [N/16, K/32, 16] float16, weights both
// outputs  0 y [..., N] float

#include "../../common/ort_op.h"
#include "quantized_linear.h"

namespace ernie {
namespace {

constexpr const char* kName = "QuantizedLinear";

struct Kernel {
    TiledMatrix weight;

    explicit Kernel(const Ort::ConstKernelInfo& info) : weight(matrixWeight(info, 1, kName)) {}

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            Shape shape = shapeOf(context, 0);
            QuantizedLinear a{nullptr, context.GetInput(0).GetTensorData<float>(), weight, tokensOf(shape, weight.columns, kName)};
            shape.back() = weight.rows;
            a.y = context.GetOutput(0, shape).GetTensorMutableData<float>();
            quantizedLinearCpu(a, poolOf(context));
        });
    }
};

struct Op : CpuOp<Op, Kernel> {
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return 3; }
    ONNXTensorElementDataType GetInputType(size_t input) const { return input == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : matrixInputType(input - 1); }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
};

}  // namespace

void addQuantizedLinear(Ort::CustomOpDomain& domain) {
    static const Op op;
    domain.Add(&op);
}

}  // namespace ernie
