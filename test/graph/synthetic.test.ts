import { join } from "node:path";
import { expect, test } from "vitest";
import { Inspection } from "../../scripts/parity/inspection.ts";
import { convert } from "../../src/convert/convert.ts";
import { readManifest } from "../../src/model-folder.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = temporaryFolder();

const tokenCount = 2000;

test("a synthetic model computes like a trained one: tokens stay different, so that every layer uses all experts of both banks", async () => {
  const folder = join(root, "model");
  const settings = { weights: "int8", activations: "fp32" } as const;
  await convert({ type: "synthetic", name: "nano" }, folder, { settings, programVersion: "test", inspect: true });
  const manifest = readManifest(folder);
  const { topK, expertCount, sparseLayers } = manifest.config.moe;
  const inspection = new Inspection(folder, manifest);

  for (const bank of [0, 1]) {
    const stages = inspection.run({
      tokenIds: Int32Array.from({ length: tokenCount }, (_, i) => 20 + ((i * 7919) % 2000)),
      positions: Int32Array.from({ length: 3 * tokenCount }, (_, i) => i % tokenCount),
      positionDelta: 0,
      visionExpert: new Uint8Array(tokenCount).fill(bank),
      spans: [],
    });

    const logits = stages.get("logits") as Float32Array;
    const meanSquare = logits.reduce((sum, logit) => sum + logit ** 2, 0) / logits.length;
    expect(meanSquare).toBeCloseTo(1, 1);
    for (const layer of sparseLayers.flatMap((isSparse, i) => (isSparse ? [i] : []))) {
      const chosen = new Int32Array(expertCount);
      for (const expert of stages.get(`router.layer${layer}.selected`)!) chosen[expert]!++;
      const fair = (tokenCount * topK) / expertCount;
      expect(Math.min(...chosen) / fair, `layer ${layer}, bank ${bank}`).toBeGreaterThan(0.25);
      expect(Math.max(...chosen) / fair, `layer ${layer}, bank ${bank}`).toBeLessThan(2.2);
    }
  }
});
