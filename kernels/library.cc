// The entry point that ONNX Runtime looks for in a custom-op library: one line per op.

#include "common/ort_op.h"

// A hash of all that the library is built from (scripts/kernels/build.mjs), which the program compares with the sources it finds.
__attribute__((used, section("ernie_sources"))) static const char kSourcesHash[] = ERNIE_SOURCES_HASH;

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
    const OrtApi* api = base->GetApi(ORT_API_VERSION);
    if (!api) return base->GetApi(1)->CreateStatus(ORT_FAIL, "libernie_kernels.so is built for another ONNX Runtime; run npm run kernels:build");
    Ort::InitApi(api);
    try {
        // Never destroyed: when a process ends, ONNX Runtime may be gone before this library.
        static Ort::CustomOpDomain& domain = *[] {
            auto* ops = new Ort::CustomOpDomain("ernie_vl");
            ernie::addGatedMlp(*ops);
            ernie::addModalityMoe(*ops);
            ernie::addQuantizedLinear(*ops);
            ernie::addVisionAttention(*ops);
            return ops;
        }();
        return api->AddCustomOpDomain(options, domain);
    } catch (const std::exception& error) {
        return api->CreateStatus(ORT_FAIL, error.what());
    }
}
