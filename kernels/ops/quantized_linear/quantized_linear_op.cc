// QuantizedLinear as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the session's provider.
//
// inputs   0 x [..., K] T                      T = float, float16, bfloat16
//          1 codes [N/16, K/32, 64·bits] uint8      2 scales [N/16, K/32, 16] float16, weights both
//          3 cosines [..., D/2] float, a row per token, and 4 sines like it, optional: heads of D rows are rotated
// outputs  0 y [..., N] T
// attribute rotated_heads (int): how many, from the first row on; 0 without cosines

#include "../../common/cublas.h"
#include "quantized_linear.h"

namespace ernie {
namespace {

constexpr const char* kName = "QuantizedLinear";

constexpr size_t kCosinesInput = 3;

struct Kernel {
    TiledMatrix weight;
    ActivationType type;
    bool isCuda;
    int64_t rotatedHeads;

    Rotation rotationOf(Ort::KernelContext& context, const Shape& x) const {
        const Shape cosines = shapeOf(context, kCosinesInput), sines = shapeOf(context, kCosinesInput + 1);
        const int64_t headDim = cosines.empty() ? 0 : 2 * cosines.back();
        if (headDim < 2 || rotatedHeads * headDim > weight.rows) {
            throw std::runtime_error("QuantizedLinear: " + std::to_string(rotatedHeads) + " heads of " + std::to_string(headDim) + " rows do not fit into " + std::to_string(weight.rows));
        }
        Shape wanted = x;
        wanted.back() = headDim / 2;
        expectShape(kName, "cosines", cosines, wanted);
        expectShape(kName, "sines", sines, wanted);
        return {context.GetInput(kCosinesInput).GetTensorData<float>(), context.GetInput(kCosinesInput + 1).GetTensorData<float>(), int(headDim), int(rotatedHeads * headDim)};
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            Shape shape = shapeOf(context, 0);
            QuantizedLinear a{nullptr, context.GetInput(0).GetTensorRawData(), type, weight, tokensOf(shape, weight.columns, kName)};
            if (rotatedHeads > 0) a.rotation = rotationOf(context, shape);
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
        return statusOf([&] {
            const Ort::ConstKernelInfo node(info);
            const int64_t rotatedHeads = node.GetInputCount() > kCosinesInput ? node.GetAttribute<int64_t>("rotated_heads") : 0;
            *kernel = new Kernel{matrixWeight(node, 1, kName), activationTypeOf(type), isCuda(), rotatedHeads};
        });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return kCosinesInput + 2; }
    ONNXTensorElementDataType GetInputType(size_t input) const {
        if (input >= kCosinesInput) return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        return input == 0 ? type : matrixInputType(input - 1);
    }
    OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t input) const { return input >= kCosinesInput ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED; }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return type; }
};

}  // namespace

void addQuantizedLinear(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
