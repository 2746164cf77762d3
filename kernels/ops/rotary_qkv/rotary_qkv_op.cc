// RotaryQkv as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the session's provider.
//
// inputs   0 x [..., (num_heads + 2 · kv_num_heads) · D] T     T = float, float16, bfloat16; q | k | v, D is even
//          1 cosines [..., D / 2] T                            a row per token
//          2 sines [..., D / 2] T
// output   0 y, like x
// attributes num_heads, kv_num_heads (int)

#include "../../common/ort_op.h"
#include "rotary_qkv.h"

namespace ernie {
namespace {

constexpr const char* kName = "RotaryQkv";

// Everything except y.
RotaryQkv argumentsOf(const Ort::KernelContext& context, ActivationType type, int64_t queryHeads, int64_t kvHeads) {
    const Shape x = shapeOf(context, 0), cosines = shapeOf(context, 1), sines = shapeOf(context, 2);
    if (x.empty() || cosines.empty()) throw std::runtime_error("RotaryQkv: x and cosines want rows, got " + show(x) + " and " + show(cosines));
    const int64_t heads = queryHeads + 2 * kvHeads, headDim = 2 * cosines.back();
    if (queryHeads < 1 || kvHeads < 1 || headDim < 2) throw std::runtime_error("RotaryQkv: num_heads, kv_num_heads and D / 2 want to be at least 1");
    Shape wantedX = x, wantedAngles = x;
    wantedX.back() = heads * headDim;
    wantedAngles.back() = headDim / 2;
    expectShape(kName, "x", x, wantedX);
    expectShape(kName, "cosines", cosines, wantedAngles);
    expectShape(kName, "sines", sines, wantedAngles);
    RotaryQkv a{};
    a.x = context.GetInput(0).GetTensorRawData();
    a.cosines = context.GetInput(1).GetTensorRawData();
    a.sines = context.GetInput(2).GetTensorRawData();
    a.type = type;
    a.tokens = rowsOf(x);
    a.heads = int(heads);
    a.rotatedHeads = int(queryHeads + kvHeads);
    a.headDim = int(headDim);
    return a;
}

struct Kernel {
    ActivationType type;
    bool isCuda;
    int64_t queryHeads, kvHeads;

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            RotaryQkv a = argumentsOf(context, type, queryHeads, kvHeads);
            a.y = context.GetOutput(0, shapeOf(context, 0)).GetTensorMutableRawData();
            if (a.tokens == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) return rotaryQkvCuda(a, static_cast<CUstream_st*>(context.GetGPUComputeStream()));
#endif
            rotaryQkvCpu(a, poolOf(context));
        });
    }
};

struct Op : ActivationOp<Op, Kernel> {
    using ActivationOp::ActivationOp;

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* native, void** kernel) const {
        return statusOf([&] {
            const Ort::ConstKernelInfo info(native);
            *kernel = new Kernel{activationTypeOf(type), isCuda(), info.GetAttribute<int64_t>("num_heads"), info.GetAttribute<int64_t>("kv_num_heads")};
        });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return 3; }
    ONNXTensorElementDataType GetInputType(size_t) const { return type; }
    size_t GetOutputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetOutputType(size_t) const { return type; }
};

}  // namespace

void addRotaryQkv(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
