// GatedMlp as an ONNX Runtime op (domain ernie_vl), on the CPU.
//
// inputs   0 x [..., H] float
//          1 gate_up [2I/16, H/32, 64·bits] uint8      2 gate_up_scales [2I/16, H/32, 16] float16
//          3 down [H/16, I/32, 64·bits] uint8          4 down_scales [H/16, I/32, 16] float16
//          5 addend, like x, optional
// outputs  0 y, like x

#include "../../common/ort_op.h"
#include "gated_mlp.h"

namespace ernie {
namespace {

constexpr size_t kAddendInput = 5;

struct Kernel {
    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            const Shape shape = shapeOf(context, 0);
            GatedMlp a{};
            a.x = context.GetInput(0).GetTensorData<float>();
            a.gateUp = matrixInput(context, 1, "GatedMlp");
            a.down = matrixInput(context, 3, "GatedMlp");
            if (a.gateUp.rows != 2 * a.down.columns || a.gateUp.columns != a.down.rows || a.down.rows % kBlockColumns != 0) {
                throw std::runtime_error("GatedMlp: gate_up of " + std::to_string(a.gateUp.rows) + " × " + std::to_string(a.gateUp.columns) + " wants down of " +
                                         std::to_string(a.gateUp.columns) + " × " + std::to_string(a.gateUp.rows / 2) + ", got " +
                                         std::to_string(a.down.rows) + " × " + std::to_string(a.down.columns));
            }
            a.tokens = tokensOf(shape, a.gateUp.columns, "GatedMlp");
            if (context.GetInputCount() > kAddendInput) {
                if (shapeOf(context, kAddendInput) != shape) throw std::runtime_error("GatedMlp: addend wants " + show(shape) + ", got " + show(shapeOf(context, kAddendInput)));
                a.addend = context.GetInput(kAddendInput).GetTensorData<float>();
            }
            a.y = context.GetOutput(0, shape).GetTensorMutableData<float>();
            gatedMlpCpu(a, poolOf(context));
        });
    }
};

struct Op : CpuOp<Op, Kernel> {
    const char* GetName() const { return "GatedMlp"; }
    size_t GetInputTypeCount() const { return kAddendInput + 1; }
    ONNXTensorElementDataType GetInputType(size_t input) const {
        return input == 0 || input == kAddendInput ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : matrixInputType(input - 1);
    }
    OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t input) const { return input == kAddendInput ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED; }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
};

}  // namespace

void addGatedMlp(Ort::CustomOpDomain& domain) {
    static const Op op;
    domain.Add(&op);
}

}  // namespace ernie
