// npm run gpu-check: checks everything that only a GPU can confirm (--help, docs/gpu.md). Needs no network and no Python.

import { checkAnswers } from "./check/answers.ts";
import { checkDecodeSteps } from "./check/decode-steps.ts";
import { checkEnvironment } from "./check/environment.ts";
import { measureExperts } from "./check/experts.ts";
import { checkGraphs } from "./check/graphs.ts";
import { measureKernelTimes } from "./check/kernel-times.ts";
import { benchKernels, checkKernels } from "./check/native-kernels.ts";
import { checkStages, nano, tinyA } from "./check/stages.ts";
import { measureVariant } from "./check/variants.ts";
import { runCommand } from "./command-line.ts";
import type { Job } from "./job.ts";

const parity = "relative error of each stage, device in 16 bits beside CPU in fp32, same int4 weights";

/** Switches of ONNX Runtime's operators, as environment variables (docs/gpu.md). */
const switches = {
  plain: {},
  "fpa-intb-gemm": { ORT_FPA_INTB_GEMM: "1" },
  "fp32-accumulation": { ORT_MOE_GEMV_FP32_ACCUM: "1" },
} as const;

const checkJobs: readonly Job[] = [
  {
    name: "environment",
    question: "whether the runtime loads, its versions, and the speed of copies",
    limitSeconds: 60,
    run: checkEnvironment,
  },
  { name: "stages-nano-qmoe", question: parity, limitSeconds: 60, run: (c) => checkStages(c, nano, "onnxruntime") },
  { name: "stages-tiny-a-qmoe", question: parity, limitSeconds: 60, run: (c) => checkStages(c, tinyA, "onnxruntime") },
  {
    name: "kernel-test",
    question: "our CUDA kernels against their references, outside ONNX Runtime",
    limitSeconds: 120,
    run: checkKernels,
  },
  { name: "stages-nano-modality-moe", question: parity, limitSeconds: 60, run: (c) => checkStages(c, nano, "modality-moe") },
  { name: "stages-tiny-a-modality-moe", question: parity, limitSeconds: 60, run: (c) => checkStages(c, tinyA, "modality-moe") },
  ...(["onnxruntime", "modality-moe"] as const).map((operator): Job => ({
    name: `graphs-${operator === "onnxruntime" ? "qmoe" : operator}`,
    question: "are decode steps from CUDA graphs equal to eager ones",
    limitSeconds: 60,
    run: (c) => checkGraphs(c, operator),
  })),
  {
    name: "answers-qmoe",
    question: "does nano answer as on the CPU",
    limitSeconds: 90,
    run: (c) => checkAnswers(c, "onnxruntime"),
  },
  {
    name: "answers-modality-moe",
    question: "does nano answer as on the CPU",
    limitSeconds: 90,
    run: (c) => checkAnswers(c, "modality-moe"),
  },
  {
    name: "decode-steps",
    question: "whether decode steps match a prefill of the same tokens, with the 28B's heads",
    limitSeconds: 120,
    run: checkDecodeSteps,
  },
  {
    name: "decode-steps-without-xqa",
    question: "decode-steps without ONNX Runtime's attention kernel for single tokens, to find the cause of a failure",
    limitSeconds: 60,
    env: { ORT_ENABLE_XQA: "0" },
    run: checkDecodeSteps,
  },
  {
    name: "experts",
    question: "time of ModalityMoe and QMoE inside ONNX Runtime, at the 28B's layer sizes, 1 to 8192 tokens",
    limitSeconds: 120,
    run: measureExperts,
  },
  { name: "kernel-bench", question: "time of our kernels for one layer of the 28B, 1 to 8192 tokens", limitSeconds: 60, run: benchKernels },
  {
    name: "kernel-times",
    question: "time of each kernel of a decode step at the 28B's widths (needs ncu)",
    limitSeconds: 150,
    run: measureKernelTimes,
  },
  {
    name: "variant-modality-moe",
    question: "step time and logit error at the 28B's widths with our own operators",
    limitSeconds: 120,
    run: (c) => measureVariant(c, "modality-moe"),
  },
  {
    name: "variant-modality-moe-early-starts",
    question: "variant-modality-moe with kernels that start before those before them have ended",
    limitSeconds: 120,
    env: { ERNIE_VL_EARLY_STARTS: "1" },
    run: (c) => measureVariant(c, "modality-moe"),
  },
  ...Object.entries(switches).map(([name, env]): Job => ({
    name: `variant-qmoe-${name}`,
    question: "variant-modality-moe with ONNX Runtime's operators and this switch",
    limitSeconds: 120,
    env,
    run: (c) => measureVariant(c, "onnxruntime"),
  })),
];

await runCommand(checkJobs, {
  name: "gpu-check",
  description:
    "Checks everything that only a GPU can confirm, most important first, and prints a table at the end. " +
    "Each job runs in its own process. docs/gpu.md says what the jobs compare.",
  defaultBudgetSeconds: 540,
  defaultOut: "gpu-check.json",
});
