import { describe, expect, test } from "vitest";
import { checkParity } from "../../scripts/parity/parity.ts";
import type { ConversionSettings } from "../../src/core/manifest.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { hasTinyA, tinyA } from "../reference/tiny-a.ts";

describe.skipIf(!hasTinyA)("the converted model against transformers, stage by stage", () => {
  const cases: [string, ConversionSettings][] = [
    ["hub", { weights: "fp32", activations: "fp32" }],
    ["native", { weights: "fp32", activations: "fp32" }],
    ["hub", { weights: "int8", activations: "fp32" }],
    ["native", { weights: "int4", activations: "fp32" }],
  ];
  const ownOperator: [string, ConversionSettings][] = [
    ["hub", { weights: "int8", activations: "fp32", experts: "modality-moe" }],
    ["native", { weights: "int4", activations: "fp32", experts: "modality-moe" }],
    ["hub", { weights: "int4-all", activations: "fp32", experts: "modality-moe" }],
  ];
  if (!findKernelLibrary()) test.skip("ModalityMoe: NOT TESTED, the kernel library is not built (npm run kernels:build)", () => {});

  test.each([...cases, ...(findKernelLibrary() ? ownOperator : [])])(
    "checkpoint-%s with %o is within tolerance",
    async (layout, settings) => {
      const findings = await checkParity(tinyA, layout, settings);

      expect(findings.length).toBeGreaterThan(9);
      expect(findings.filter((finding) => !finding.passed)).toEqual([]);
    },
  );
});
