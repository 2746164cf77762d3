import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { checkParity } from "../../scripts/parity/parity.ts";
import type { WeightFormat } from "../../src/core/manifest.ts";

const folder = fileURLToPath(new URL("../../../shared/reference/tiny-a", import.meta.url));

describe("the converted model against transformers, stage by stage", () => {
  test.each<[string, WeightFormat]>([
    ["hub", "fp32"],
    ["native", "fp32"],
    ["hub", "int8"],
    ["native", "int4"],
  ])("checkpoint-%s with %s weights is within tolerance", async (layout, weights) => {
    const findings = await checkParity(folder, layout, weights);

    expect(findings.length).toBeGreaterThan(10);
    expect(findings.filter((finding) => !finding.passed)).toEqual([]);
  });
});
