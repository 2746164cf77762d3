// Checks that a calibration file fits a conversion, before hours of work.

import { UserError } from "../core/errors.ts";
import type { ConversionSettings, Manifest } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { calibratedInputs } from "./calibrated-inputs.ts";
import { CalibrationFile } from "./calibration-file.ts";
import { minTokens, tokensOfBank } from "./quantize/recorded-inputs.ts";

type CheckedCalibration = {
  readonly entry: NonNullable<Manifest["calibration"]>;
  /** Notes for the operator. */
  readonly notes: readonly string[];
};

/** Reads the whole file, for its hash. Throws a UserError when it is damaged, belongs to another model, or would change nothing. */
export function checkCalibration(path: string, { weights }: ConversionSettings, config: ModelConfig): CheckedCalibration {
  if (weights !== "int4" && weights !== "int4-all") {
    throw new UserError(`a calibration affects int4 weights only, got ${weights} weights; omit it or use --weights int4`);
  }
  const wanted = calibratedInputs(config, weights);
  const file = CalibrationFile.open(path);
  try {
    const wrong = [...wanted].find(([name, width]) => file.inputs.get(name) !== width);
    if (wrong) {
      const [name, width] = wrong;
      const got = file.inputs.get(name) ?? "none";
      throw new UserError(`${path}: expected ${name} with ${width} numbers per token, got ${got}; calibrate this model for these weights`);
    }
    const banks = (["text", "vision"] as const).map((bank) => ({ bank, count: tokensOfBank(file, bank).length }));
    const notes = banks
      .filter(({ count }) => count < minTokens)
      .map(
        ({ bank, count }) =>
          `the calibration has only ${count} ${bank} tokens; the ${bank} experts need ${minTokens} and are not calibrated`,
      );
    return { entry: { sha256: file.sha256, tokenCount: file.tokenCount }, notes };
  } finally {
    file.close();
  }
}
