// VisionAttention as an ONNX Runtime op (domain ernie_vl), for a CPU and floats: checks shapes, fills the argument struct, calls the kernel.
//
// inputs     0 qkv [frames, patches, 3·heads·headDim] float      1 cosines [patches, headDim / 2] float      2 sines, the same
// attributes heads: int
// outputs    0 y [frames, patches, heads·headDim] float

#include "../../common/ort_op.h"
#include "vision_attention.h"

namespace ernie {
namespace {

constexpr const char* kName = "VisionAttention";

struct Kernel {
    int heads;

    explicit Kernel(const Ort::ConstKernelInfo& info) : heads(int(info.GetAttribute<int64_t>("heads"))) {
        if (heads < 1) throw std::runtime_error(std::string(kName) + ": heads wants to be positive, got " + std::to_string(heads));
    }

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            const Shape qkv = shapeOf(context, 0), table = shapeOf(context, 1);
            if (qkv.size() != 3 || table.size() != 2 || table[1] < 1 || table[1] * 2 > kMaxVisionHeadDim || qkv[2] != 3 * heads * 2 * table[1]) {
                throw std::runtime_error(std::string(kName) + ": qkv wants [frames, patches, 3 · " + std::to_string(heads) + " heads · headDim] and cosines [patches, headDim / 2], headDim at most " +
                                         std::to_string(kMaxVisionHeadDim) + ", got " + show(qkv) + " and " + show(table));
            }
            expectShape(kName, "cosines", table, {qkv[1], table[1]});
            expectShape(kName, "sines", shapeOf(context, 2), table);
            VisionAttention a{nullptr, input(context, 0), input(context, 1), input(context, 2), int(qkv[0]), int(qkv[1]), heads, int(2 * table[1])};
            a.y = context.GetOutput(0, {qkv[0], qkv[1], qkv[2] / 3}).GetTensorMutableData<float>();
            visionAttentionCpu(a, poolOf(context));
        });
    }

    static const float* input(const Ort::KernelContext& context, size_t i) { return context.GetInput(i).GetTensorData<float>(); }
};

struct Op : Ort::CustomOpBase<Op, Kernel, true> {
    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return statusOf([&] { *kernel = new Kernel(Ort::ConstKernelInfo(info)); });
    }
    const char* GetName() const { return kName; }
    const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
    size_t GetInputTypeCount() const { return 3; }
    ONNXTensorElementDataType GetInputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
};

}  // namespace

void addVisionAttention(Ort::CustomOpDomain& domain) {
    static const Op& op = *new Op();  // never destroyed, as the domain
    domain.Add(&op);
}

}  // namespace ernie
