import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { calibratedInput } from "../../src/convert/calibrated-inputs.ts";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { dequantizeBlockwise, quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";
import { ExpertCalibration, type Expert } from "../../src/convert/quantize/expert-calibration.ts";
import { RecordedInputs } from "../../src/convert/quantize/recorded-inputs.ts";
import type { MoeConfig } from "../../src/core/model-config.ts";
import { correlatedInputs, createRandom, normals, project } from "./correlated-inputs.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const [hidden, width, tokenCount] = [64, 48, 400];
const random = createRandom(11);
const inputs = correlatedInputs(random, tokenCount, hidden);
// Column 0 tells the expert: two thirds of the tokens go to expert 0, the rest to expert 1, none to expert 2.
for (let token = 0; token < tokenCount; token++) inputs[token * hidden] = token % 3 === 0 ? -1 : 1;
const router = {
  weight: Float32Array.from({ length: hidden * 3 }, (_, i) => [5, -5, 0][i]! * Number(i < 3) || 0),
  correctionBias: new Float32Array(3),
};

function drawExpert(index: number, bank: Expert["bank"] = "text"): Expert {
  const [gate, up, down] = [normals(random, width * hidden), normals(random, width * hidden), normals(random, hidden * width)] as const;
  return { layer: 3, bank, index, gate: gate.map((value) => value / 8), up: up.map((value) => value / 8), down };
}

const opened: RecordedInputs[] = [];
afterEach(() => {
  for (const recorded of opened.splice(0)) recorded.close();
});

function openCalibration(visionExpert = new Uint8Array(tokenCount)): ExpertCalibration {
  const path = join(temporaryFolder(), "calibration");
  const name = calibratedInput.experts(3);
  const writer = new CalibrationWriter(path, { inputs: new Map([[name, hidden]]), visionExpert });
  writer.append(name, 0, inputs);
  writer.finish();
  opened.push(new RecordedInputs(CalibrationFile.open(path)));
  return new ExpertCalibration(opened[0]!, { topK: 1 } as MoeConfig);
}

function inner({ gate, up }: Expert, rows: Float32Array): Float32Array {
  const ups = project(rows, up, hidden);
  return project(rows, gate, hidden).map((g, i) => (g / (1 + Math.exp(-g))) * ups[i]!);
}

/** Σ (difference of the results)² with rounded weights in the place of `weight`. */
function resultError(rows: Float32Array, weight: Float32Array, rounded: Float32Array, columns: number): number {
  const difference = weight.map((value, i) => value - rounded[i]!);
  return project(rows, difference, columns).reduce((sum, value) => sum + value * value, 0);
}

function inputsOf(isOwn: (token: number) => boolean): Float32Array {
  return inputs.filter((_, i) => isOwn(Math.floor(i / hidden)));
}

describe("an expert rounded for a calibration run", () => {
  test.each<[string, number, (token: number) => boolean]>([
    ["that gets most tokens", 0, (token) => token % 3 !== 0],
    ["that gets the others", 1, (token) => token % 3 === 0],
    ["that gets none, for which all stand in", 2, () => true],
  ])("%s has less error in all its results than one with searched scales", (_name, index, isOwn) => {
    const expert = drawExpert(index);
    const calibration = openCalibration();
    const rounded = calibration.quantize(expert, router, Math.fround)!;

    const own = inputsOf(isOwn);
    const middle = inner(expert, own);
    for (const [part, rows, columns] of [["gate", own, hidden] as const, ["up", own, hidden] as const, ["down", middle, width] as const]) {
      const weight = expert[part];
      const searched = dequantizeBlockwise(quantizeBlockwise(weight, columns, 4), columns, 4);
      const ours = dequantizeBlockwise(rounded[part], columns, 4);
      expect(resultError(rows, weight, ours, columns)).toBeLessThan(0.7 * resultError(rows, weight, searched, columns));
    }
  });

  test("is fit to the tokens of its own bank", () => {
    const visionExpert = Uint8Array.from({ length: tokenCount }, (_, token) => token % 2);
    const calibration = openCalibration(visionExpert);
    const [text, vision] = [drawExpert(0), drawExpert(0)].map((expert, i) => ({
      ...expert,
      bank: i === 0 ? ("text" as const) : ("vision" as const),
    }));
    const quantize = (expert: Expert) => calibration.quantize(expert, router, Math.fround)!.gate.data;

    const alternating = [quantize(text!), quantize(vision!), quantize(text!)];

    expect(alternating[2]).toEqual(alternating[0]);
    expect(quantize({ ...vision!, bank: "text" })).not.toEqual(alternating[1]);
  });

  test("is not there when its bank got too few tokens", () => {
    const visionExpert = Uint8Array.from({ length: tokenCount }, (_, token) => (token < 31 ? 1 : 0));
    const calibration = openCalibration(visionExpert);

    expect(calibration.quantize(drawExpert(0, "vision"), router, Math.fround)).toBeUndefined();
    expect(calibration.quantize(drawExpert(0, "text"), router, Math.fround)).toBeDefined();
  });
});
