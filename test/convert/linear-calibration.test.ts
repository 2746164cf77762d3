import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { dequantizeBlockwise, quantizeBlockwise } from "../../src/convert/quantize/blockwise.ts";
import { LinearCalibration } from "../../src/convert/quantize/linear-calibration.ts";
import { RecordedInputs } from "../../src/convert/quantize/recorded-inputs.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { correlatedInputs, createRandom, normals, project } from "./correlated-inputs.ts";

const tokenCount = 1500; // more than are looked at together
const random = createRandom(5);
const widths = new Map([
  ["attention", 64],
  ["attended", 48],
]);
const inputs = new Map([...widths].map(([name, width]) => [name, correlatedInputs(random, tokenCount, width)]));

const opened: RecordedInputs[] = [];
afterEach(() => {
  for (const recorded of opened.splice(0)) recorded.close();
});

function openCalibration(tokens = tokenCount): LinearCalibration {
  const path = join(temporaryFolder(), "calibration");
  const writer = new CalibrationWriter(path, { inputs: widths, visionExpert: new Uint8Array(tokens).map((_, i) => i % 2) });
  for (const [name, width] of widths) writer.append(name, 0, inputs.get(name)!.subarray(0, tokens * width));
  writer.finish();
  opened.push(new RecordedInputs(CalibrationFile.open(path)));
  return new LinearCalibration(opened.at(-1)!);
}

const drawMatrix = (rows: number, columns: number) => normals(random, rows * columns).map((value) => value / 8);

/** Σ of the squared differences in all results, against the same of searched scales. */
function errorBesideSearched(x: Float32Array, weight: Float32Array, columns: number, data: ReturnType<typeof quantizeBlockwise>): number {
  const error = (rounded: Float32Array) => {
    const difference = weight.map((value, i) => value - rounded[i]!);
    return project(x, difference, columns).reduce((sum, value) => sum + value * value, 0);
  };
  const searched = quantizeBlockwise(weight, columns, 4);
  return error(dequantizeBlockwise(data, columns, 4)) / error(dequantizeBlockwise(searched, columns, 4));
}

describe("a matrix rounded for a calibration run", () => {
  test.each([...widths])("has less error in its results than one with searched scales: input %s of %i numbers", (name, columns) => {
    const weight = drawMatrix(40, columns);

    const rounded = openCalibration().quantize(weight, columns, Math.fround, name)!;

    expect(errorBesideSearched(inputs.get(name)!, weight, columns, rounded)).toBeLessThan(0.7);
  });

  test("that multiplies what gate and up make of the input is fit to that", () => {
    const [gate, up, down] = [drawMatrix(48, 64), drawMatrix(48, 64), drawMatrix(40, 48)] as const;
    const x = inputs.get("attention")!;
    const ups = project(x, up, 64);
    const inner = project(x, gate, 64).map((g, i) => (g / (1 + Math.exp(-g))) * ups[i]!);

    const rounded = openCalibration().quantize(down, 48, Math.fround, "attention", { gate, up })!;

    expect(errorBesideSearched(inner, down, 48, rounded)).toBeLessThan(0.7);
  });

  test("is the same in whatever order matrices come, and whole or in pieces", () => {
    const [q, k] = [drawMatrix(16, 64), drawMatrix(16, 64)];
    const calibration = openCalibration();
    const quantize = (values: Float32Array, name = "attention") => calibration.quantize(values, 64, Math.fround, name)!.data;

    const whole = quantize(Float32Array.of(...q, ...k));
    calibration.quantize(drawMatrix(16, 48), 48, Math.fround, "attended");
    const pieces = [quantize(k), quantize(q)];

    expect(Buffer.concat([pieces[1]!, pieces[0]!])).toEqual(Buffer.from(whole));
  });

  test("is not there when the run had too few tokens", () => {
    expect(openCalibration(31).quantize(drawMatrix(16, 64), 64, Math.fround, "attention")).toBeUndefined();
    expect(openCalibration(32).quantize(drawMatrix(16, 64), 64, Math.fround, "attention")).toBeDefined();
  });
});
