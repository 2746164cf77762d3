// For ncu: computes decode steps of `STREAMS` sequences with the model in `FOLDER`, and marks one of them.

import { readManifest } from "../../../src/model-folder.ts";
import { loadLibrary } from "../../../src/runtime/load-library.ts";
import { StepBench } from "../step-bench.ts";

const [folder, streams] = [process.argv[2]!, Number(process.argv[3])];
const contextTokens = 2048;
const options = {
  threadCount: 0,
  slotCount: streams,
  slotCapacity: contextTokens + 64,
  prefillChunkTokens: contextTokens,
  imageCacheBytes: 1 << 20,
  cudaGraphs: false,
};
const bench = new StepBench(folder, readManifest(folder), "cuda", options);
bench.fill(contextTokens);
bench.decodeMs(streams, contextTokens, 1); // kernels are loaded and chosen
const cudart = loadLibrary("libcudart.so.13");
cudart.func("int cudaProfilerStart()")();
bench.decodeOnce(streams, contextTokens);
cudart.func("int cudaProfilerStop()")();
process.exit(0);
