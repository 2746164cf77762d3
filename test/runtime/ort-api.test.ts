import { expect, test } from "vitest";
import { withoutSignatures } from "../../src/runtime/ort-api.ts";

test("messages of the CUDA provider say what CUDA said, on one line, without the C++ signatures before it", () => {
  const signature =
    "std::conditional_t<THRW, void, Status> onnxruntime::CudaCall(ERRTYPE, const char*, int) [with ERRTYPE = cudaError; bool THRW = true]";
  const said =
    "CUDA failure 901: operation failed ; GPU=0 ; file=/onnxruntime_src/cuda_graph.cc ; line=66 ; expr=cudaStreamEndCapture(stream_, &graph_);";
  const place = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc";

  expect(withoutSignatures(`${place}:154 ${signature} ${place}:146 ${signature} ${said} \n\n`)).toBe(said);
  const node = "Non-zero status code returned while running MatMul node. Name:'head' Status Message:";
  expect(withoutSignatures(`${node} ${place}:154 ${signature} ${place}:146 ${signature} CUBLAS failure 3: no memory`)).toBe(
    `${node} CUBLAS failure 3: no memory`,
  );
  expect(withoutSignatures("Load model from m.onnx failed: no such file\n")).toBe("Load model from m.onnx failed: no such file");
});
