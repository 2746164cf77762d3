// ModalityMoe as an ONNX Runtime op (domain ernie_vl): checks shapes, fills the argument struct, calls the kernel of the
// session's provider.
//
// inputs   0 x [..., H] T                      T = float, float16, bfloat16
//          1 vision_expert [...] bool          one per token
//          2 router [2, E, H] float            0 text, 1 vision
//          3 correction_bias [2, E] float
//          4 text_gate_up [E, 2I/16, H/32, 64·bits] uint8        5 text_gate_up_scales [E, 2I/16, H/32, 16] float16
//          6 text_down [E, H/16, I/32, 64·bits] uint8            7 text_down_scales [E, H/16, I/32, 16] float16
//          8…11 the same of the vision bank, with its own I
// outputs  0 y, like x
//          1 chosen [..., top_k] int32, optional, CPU only: bank · E + expert, the best score first
// attributes top_k (int), norm_min (float)

#include "../../common/ort_op.h"
#include "modality_moe.h"

namespace ernie {
namespace {

constexpr const char* kName = "ModalityMoe";
constexpr size_t kInputCount = 12;
constexpr size_t kFirstBankInput = 4;
constexpr size_t kChosenOutput = 1;

const uint8_t* bytesOf(const Ort::KernelContext& context, size_t input) {
    return static_cast<const uint8_t*>(context.GetInput(input).GetTensorRawData());
}

ExpertBank bankArguments(const Ort::KernelContext& context, size_t first, const ModalityMoe& a) {
    const Shape codes = shapeOf(context, first);
    const int64_t experts = a.experts, hidden = a.hidden, blockBytes = 64 * a.bits;
    if (codes.size() != 4 || codes[1] < 4 || codes[1] % 4 != 0) {
        throw std::runtime_error("ModalityMoe: gate_up wants [E, 2I/16, H/32, 64·bits] with I a multiple of 32, got " + show(codes));
    }
    const int64_t width = codes[1] * kTileRows / 2;
    expectShape(kName, "gate_up", codes, {experts, codes[1], hidden / 32, blockBytes});
    expectShape(kName, "gate_up_scales", shapeOf(context, first + 1), {experts, codes[1], hidden / 32, kTileRows});
    expectShape(kName, "down", shapeOf(context, first + 2), {experts, hidden / 16, width / 32, blockBytes});
    expectShape(kName, "down_scales", shapeOf(context, first + 3), {experts, hidden / 16, width / 32, kTileRows});
    const auto scales = [&](size_t input) { return reinterpret_cast<const uint16_t*>(bytesOf(context, input)); };
    return {bytesOf(context, first), scales(first + 1), bytesOf(context, first + 2), scales(first + 3), int(width)};
}

// Everything except y.
ModalityMoe argumentsOf(const Ort::KernelContext& context, ActivationType type, int topK, float normMin) {
    ModalityMoe a{};
    const Shape x = shapeOf(context, 0), router = shapeOf(context, 2), codes = shapeOf(context, kFirstBankInput);
    if (x.empty() || x.back() < 32 || x.back() % 32 != 0) throw std::runtime_error("ModalityMoe: x wants [..., H] with H a multiple of 32, got " + show(x));
    if (router.size() != 3 || router[1] < 1 || router[1] > kMaxExperts) {
        throw std::runtime_error("ModalityMoe: router wants [2, E, H] with E at most " + std::to_string(kMaxExperts) + ", got " + show(router));
    }
    if (topK < 1 || topK > kMaxTopK || topK > router[1]) throw std::runtime_error("ModalityMoe: top_k is " + std::to_string(topK) + ", wants 1…" + std::to_string(kMaxTopK) + " and at most E");
    a.type = type;
    a.hidden = int(x.back());
    a.experts = int(router[1]);
    a.tokens = rowsOf(x);
    a.topK = topK;
    a.normMin = normMin;
    a.bits = !codes.empty() && codes.back() == 64 * 8 ? 8 : 4;
    expectShape(kName, "vision_expert", {int64_t(context.GetInput(1).GetTensorTypeAndShapeInfo().GetElementCount())}, {a.tokens});
    expectShape(kName, "router", router, {2, a.experts, a.hidden});
    expectShape(kName, "correction_bias", shapeOf(context, 3), {2, a.experts});
    a.x = context.GetInput(0).GetTensorRawData();
    a.visionExpert = bytesOf(context, 1);
    a.router = context.GetInput(2).GetTensorData<float>();
    a.correctionBias = context.GetInput(3).GetTensorData<float>();
    a.banks[0] = bankArguments(context, kFirstBankInput, a);
    a.banks[1] = bankArguments(context, kFirstBankInput + 4, a);
    return a;
}

#ifdef ERNIE_CUDA
void runOnCuda(Ort::KernelContext& context, const ModalityMoe& a) {
    const Ort::MemoryInfo device("Cuda", OrtDeviceAllocator, 0, OrtMemTypeDefault);
    OrtAllocator* allocator = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetAllocator(context.GetOrtKernelContext(), device, &allocator));
    // The session's arena: freed here, reused by later nodes of the same stream only.
    Ort::Allocator arena(allocator);
    Ort::MemoryAllocation workspace = arena.GetAllocation(modalityMoeWorkspaceBytes(a));
    modalityMoeCuda(a, workspace.get(), static_cast<CUstream_st*>(context.GetGPUComputeStream()));
}
#endif

int32_t* chosenOutput(Ort::KernelContext& context, int topK) {
    Shape shape = shapeOf(context, 0);
    shape.back() = topK;
    return context.GetOutput(kChosenOutput, shape).GetTensorMutableData<int32_t>();
}

struct Kernel {
    ActivationType type;
    bool isCuda;
    int topK;
    float normMin;

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            ModalityMoe a = argumentsOf(context, type, topK, normMin);
            a.y = context.GetOutput(0, shapeOf(context, 0)).GetTensorMutableRawData();
            if (context.GetOutputCount() > kChosenOutput) a.chosen = chosenOutput(context, topK);
            if (a.tokens == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) return runOnCuda(context, a);
#endif
            modalityMoeCpu(a, poolOf(context));
        });
    }
};

struct Op : ActivationOp<Op, Kernel> {
    using ActivationOp::ActivationOp;

    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* native, void** kernel) const {
        return statusOf([&] {
            const Ort::ConstKernelInfo info(native);
            if (isCuda() && info.GetOutputCount() > kChosenOutput) throw std::runtime_error("ModalityMoe: the CUDA kernel does not put out what it chose");
            *kernel = new Kernel{activationTypeOf(type), isCuda(), int(info.GetAttribute<int64_t>("top_k")), info.GetAttribute<float>("norm_min")};
        });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return kInputCount; }
    ONNXTensorElementDataType GetInputType(size_t input) const {
        if (input == 0) return type;
        if (input == 1) return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
        if (input < kFirstBankInput) return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        return input % 2 == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    }
    size_t GetOutputTypeCount() const { return 2; }
    ONNXTensorElementDataType GetOutputType(size_t output) const { return output == kChosenOutput ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 : type; }
    OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t output) const {
        return output == kChosenOutput ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
    }
};

}  // namespace

void addModalityMoe(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
