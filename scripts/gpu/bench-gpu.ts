// npm run bench-gpu: speed and memory at the full size (--help, docs/gpu.md). From its JSON `npm run bench-table` makes the table of docs/gpu.md.

import { convertModel, measureDecode, measureMixedLoad, measureOverhead, measurePicture, measurePrefill } from "./bench/measurements.ts";
import { benchSettings } from "./bench/bench-model.ts";
import { measureTransformers } from "./bench/transformers.ts";
import { runCommand } from "./command-line.ts";
import { measureCopies } from "./copy-bandwidth.ts";
import type { Job } from "./job.ts";

const benchJobs: readonly Job[] = [
  {
    name: "copies",
    question: "bandwidth of plain copies in GB/s, the limit for everything that is memory-bound",
    limitSeconds: 60,
    run: ({ device, isSmall, record, say }) => {
      const speeds = measureCopies(device, isSmall);
      record("copyGigabytesPerSecond", speeds);
      for (const [name, speed] of Object.entries(speeds)) say(`copy ${name}: ${speed.toFixed(0)} GB/s`);
    },
  },
  { name: "convert", question: "converts the model if necessary; bytes by part", limitSeconds: 400, run: convertModel },
  {
    name: "decode",
    question: "load time, memory, tokens/s at 1 to 64 streams, lower bound of each step",
    limitSeconds: 240,
    run: measureDecode,
  },
  {
    name: "prefill",
    question: "prefill in tokens/s of prompts of 512 to 32k tokens; one sequence of 131,072",
    limitSeconds: 180,
    run: measurePrefill,
  },
  {
    name: "picture",
    question: "time to first token for a question about a picture of one megapixel",
    limitSeconds: 90,
    run: measurePicture,
  },
  {
    name: "mixed-load",
    question: "throughput and latency of running streams while long prompts arrive",
    limitSeconds: 120,
    run: measureMixedLoad,
  },
  { name: "host-overhead", question: "how long the device waits for the host in each step", limitSeconds: 120, run: measureOverhead },
  { name: "transformers", question: "Hugging Face transformers in bf16 at the same size", limitSeconds: 240, run: measureTransformers },
];

await runCommand(benchJobs, {
  name: "bench-gpu",
  description:
    "Measures speed and memory at the full size, with synthetic weights, beside the device's copy bandwidth " +
    "and the bytes that each step must read. Each job runs in its own process.",
  defaultBudgetSeconds: 1800,
  defaultOut: "bench/results/gpu.json",
  settings: benchSettings,
});
