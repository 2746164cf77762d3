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
//          12 shared_gate_up [2I/16, H/32, 64·bits] uint8, 13 shared_gate_up_scales [2I/16, H/32, 16] float16, 14 shared_down and
//          15 shared_down_scales [H/16, I/32, …]: the shared experts, optional, with their own I, of 8 bits or as many as the others; 2…15 are weights
// outputs  0 y, like x
//          1 chosen [..., top_k] int32, optional, CPU only: bank · E + expert, the best score first
// attributes top_k (int), norm_min (float)
// ERNIE_VL_EARLY_STARTS=1 in the environment: kernels on a GPU start early (modality_moe.h), for measurements

#include <cstdlib>

#include "../../common/cublas.h"
#include "modality_moe.h"

namespace ernie {
namespace {

constexpr const char* kName = "ModalityMoe";
constexpr size_t kInputCount = 16;
constexpr size_t kSharedInput = 12;
constexpr size_t kFirstBankInput = 4;
constexpr size_t kChosenOutput = 1;

ExpertBank bankWeights(const Ort::ConstKernelInfo& info, size_t first, const ModalityMoe& a) {
    const Ort::ConstValue codes = weightInput(info, first, kName), codeScales = weightInput(info, first + 1, kName);
    const Ort::ConstValue down = weightInput(info, first + 2, kName), downScales = weightInput(info, first + 3, kName);
    const Shape shape = shapeOf(codes);
    const int64_t experts = a.experts, hidden = a.hidden, blockBytes = 64 * a.bits;
    if (shape.size() != 4 || shape[1] < 4 || shape[1] % 4 != 0) {
        throw std::runtime_error("ModalityMoe: gate_up wants [E, 2I/16, H/32, 64·bits] with I a multiple of 32, got " + show(shape));
    }
    const int64_t width = shape[1] * kTileRows / 2;
    expectShape(kName, "gate_up", shape, {experts, shape[1], hidden / 32, blockBytes});
    expectShape(kName, "gate_up_scales", shapeOf(codeScales), {experts, shape[1], hidden / 32, kTileRows});
    expectShape(kName, "down", shapeOf(down), {experts, hidden / 16, width / 32, blockBytes});
    expectShape(kName, "down_scales", shapeOf(downScales), {experts, hidden / 16, width / 32, kTileRows});
    const auto bytes = [](const Ort::ConstValue& value) { return static_cast<const uint8_t*>(value.GetTensorRawData()); };
    const auto halves = [](const Ort::ConstValue& value) { return static_cast<const uint16_t*>(value.GetTensorRawData()); };
    return {bytes(codes), halves(codeScales), bytes(down), halves(downScales), int(width)};
}

// What is the same in every call.
ModalityMoe fixedArguments(const Ort::ConstKernelInfo& info, ActivationType type) {
    ModalityMoe a{};
    const Ort::ConstValue router = weightInput(info, 2, kName), bias = weightInput(info, 3, kName);
    const Shape shape = shapeOf(router), codes = shapeOf(weightInput(info, kFirstBankInput, kName));
    if (shape.size() != 3 || shape[1] < 1 || shape[1] > kMaxExperts || shape[2] < 32 || shape[2] % 32 != 0) {
        throw std::runtime_error("ModalityMoe: router wants [2, E, H] with E at most " + std::to_string(kMaxExperts) + " and H a multiple of 32, got " + show(shape));
    }
    const int64_t topK = info.GetAttribute<int64_t>("top_k");
    if (topK < 1 || topK > kMaxTopK || topK > shape[1]) throw std::runtime_error("ModalityMoe: top_k is " + std::to_string(topK) + ", wants 1…" + std::to_string(kMaxTopK) + " and at most E");
    a.type = type;
    a.experts = int(shape[1]);
    a.hidden = int(shape[2]);
    a.topK = int(topK);
    a.normMin = info.GetAttribute<float>("norm_min");
    const char* startsEarly = std::getenv("ERNIE_VL_EARLY_STARTS");
    a.startsEarly = startsEarly && std::string(startsEarly) == "1";
    a.bits = !codes.empty() && codes.back() == 64 * 8 ? 8 : 4;
    expectShape(kName, "router", shape, {2, a.experts, a.hidden});
    expectShape(kName, "correction_bias", shapeOf(bias), {2, a.experts});
    a.router = router.GetTensorData<float>();
    a.correctionBias = bias.GetTensorData<float>();
    a.banks[0] = bankWeights(info, kFirstBankInput, a);
    a.banks[1] = bankWeights(info, kFirstBankInput + 4, a);
    if (info.GetInputCount() <= kSharedInput) return a;
    a.sharedGateUp = matrixWeight(info, kSharedInput, kName);
    a.sharedDown = matrixWeight(info, kSharedInput + 2, kName);
    expectMlp(kName, a.sharedGateUp, a.sharedDown);
    if (a.sharedDown.rows != a.hidden || a.sharedGateUp.bits != a.sharedDown.bits || (a.sharedDown.bits != 8 && a.sharedDown.bits != a.bits)) {
        throw std::runtime_error("ModalityMoe: shared experts want 8 bits, or as many as the others, and " + std::to_string(a.hidden) + " rows of down, got " + std::to_string(a.sharedGateUp.bits) + " and " + std::to_string(a.sharedDown.bits) + " bits, " + std::to_string(a.sharedDown.rows) + " rows");
    }
    return a;
}

struct Kernel {
    ModalityMoe fixed;
    bool isCuda;

    OrtStatusPtr ComputeV2(OrtKernelContext* native) {
        return statusOf([&] {
            Ort::KernelContext context(native);
            const Ort::ConstValue x = context.GetInput(0), visionExpert = context.GetInput(1);
            Shape shape = shapeOf(x);
            ModalityMoe a = fixed;
            a.tokens = tokensOf(shape, a.hidden, kName);
            expectShape(kName, "vision_expert", {int64_t(visionExpert.GetTensorTypeAndShapeInfo().GetElementCount())}, {a.tokens});
            a.x = x.GetTensorRawData();
            a.visionExpert = static_cast<const uint8_t*>(visionExpert.GetTensorRawData());
            a.y = context.GetOutput(0, shape).GetTensorMutableRawData();
            shape.back() = a.topK;
            if (context.GetOutputCount() > kChosenOutput) a.chosen = context.GetOutput(kChosenOutput, shape).GetTensorMutableData<int32_t>();
            if (a.tokens == 0) return;
#ifdef ERNIE_CUDA
            if (isCuda) {
                return withWorkspace(context, modalityMoeDenseBytes(a), [&](void* dense) {
                    withWorkspace(context, modalityMoeWorkspaceBytes(a), [&](void* workspace) { modalityMoeCuda(a, workspace, dense, cublasOf(context), streamOf(context)); });
                });
            }
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
            *kernel = new Kernel{fixedArguments(info, activationTypeOf(type)), isCuda()};
        });
    }
    const char* GetName() const { return kName; }
    size_t GetInputTypeCount() const { return kInputCount; }
    ONNXTensorElementDataType GetInputType(size_t input) const {
        if (input == 0) return type;
        if (input == 1) return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
        return input < kFirstBankInput ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT : matrixInputType(input);
    }
    OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t input) const { return input >= kSharedInput ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED; }
    size_t GetOutputTypeCount() const { return 2; }
    ONNXTensorElementDataType GetOutputType(size_t output) const { return output == kChosenOutput ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 : type; }
    OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t output) const {
        return output == kChosenOutput ? INPUT_OUTPUT_OPTIONAL : INPUT_OUTPUT_REQUIRED;
    }
};

}  // namespace

void addModalityMoe(Ort::CustomOpDomain& domain) { addForEveryActivation<Op>(domain); }

}  // namespace ernie
