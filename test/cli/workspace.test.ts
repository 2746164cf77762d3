import { describe, expect, test } from "vitest";
import { planWorkspace, workspaceBytes } from "../../src/cli/workspace.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";

const forGpu = { activations: "bf16", experts: "modality-moe" } as const;

describe("planWorkspace", () => {
  // MiB that each session took on the emulated GPU, bf16, weights int4, our own operators: two pictures half done with their inputs, one's features, prompts of
  // growing length, the sampler with its logits.
  test.each([
    ["28b-slice", 512, 16, { pictures: 1307, steps: 250, sampling: 27 }],
    ["28b-slice", 1024, 16, { steps: 481 }],
    ["28b-slice", 2048, 16, { steps: 781 }],
    ["28b-slice", 512, 64, { sampling: 82 }],
  ])("%s, chunks of %i tokens, %i sequences: each part covers what a session took, by half at most", (name, chunk, sequences, taken) => {
    const planned = planWorkspace(openSynthetic(name).config, forGpu, { prefillChunkTokens: chunk, sequences });

    for (const [part, mebibytes] of Object.entries(taken)) {
      const ratio = planned[part as keyof typeof planned] / 2 ** 20 / mebibytes;
      expect(ratio, part).toBeGreaterThan(0.995);
      expect(ratio, part).toBeLessThan(part === "sampling" ? 2 : 1.5);
    }
  });

  test("a model of other widths is covered as a whole", () => {
    expect(workspaceBytes(openSynthetic("mini").config, forGpu)).toBeGreaterThan((266.5 + 33.9 + 0.3) * 2 ** 20);
  });

  test("on a CPU no matrices are written out: what mini took for a picture and chunks of 2,048 tokens, without memory patterns", () => {
    const { pictures, steps } = planWorkspace(
      openSynthetic("mini").config,
      { activations: "fp32" },
      { prefillChunkTokens: 2048, sequences: 16 },
    );

    for (const [planned, mebibytes] of [
      [pictures, 609],
      [steps, 90],
    ] as const) {
      expect(planned).toBeGreaterThan(mebibytes * 2 ** 20);
      expect(planned).toBeLessThan(1.5 * mebibytes * 2 ** 20);
    }
  });
});
