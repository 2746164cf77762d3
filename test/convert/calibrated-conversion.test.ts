import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { checkCalibration } from "../../src/convert/check-calibration.ts";
import { convertCheckpoint, type ConvertOptions } from "../../src/convert/convert.ts";
import { DataFiles } from "../../src/convert/data-files.ts";
import { TaskThread } from "../../src/convert/job-pool.ts";
import { packTiles } from "../../src/convert/onnx/custom-ops.ts";
import { planConversion } from "../../src/convert/plan.ts";
import { ExpertCalibration } from "../../src/convert/quantize/expert-calibration.ts";
import { arrangeRows } from "../../src/convert/quantize/arrange-rows.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { openSource } from "../../src/convert/source.ts";
import { UserError } from "../../src/core/errors.ts";
import { toFloat16, fromFloat16 } from "../../src/core/half.ts";
import type { ConversionSettings } from "../../src/core/manifest.ts";
import { readManifest } from "../../src/model-folder.ts";
import { correlatedInputs, createRandom } from "./correlated-inputs.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const nanoFolder = fileURLToPath(new URL("../../models/ernie-vl-nano", import.meta.url));
const source = { type: "checkpoint", folder: nanoFolder } as const;
const config = readModelConfig(nanoFolder);
const { hiddenSize } = config.text;
const layers = config.moe.sparseLayers.flatMap((isSparse, layer) => (isSparse ? [layer] : []));
const int4: ConversionSettings = { weights: "int4", activations: "fp16" };
const options: ConvertOptions = { settings: int4, programVersion: "1.0.0" };

function writeCalibration({
  text,
  vision,
  hidden = hiddenSize,
  of = layers,
}: {
  text: number;
  vision: number;
  hidden?: number;
  of?: number[];
}) {
  const path = join(temporaryFolder(), "calibration");
  const visionExpert = Uint8Array.from({ length: text + vision }, (_, i) => (i < text ? 0 : 1));
  const writer = new CalibrationWriter(path, { hiddenSize: hidden, layers: of, visionExpert });
  for (const layer of of) writer.append(layer, 0, correlatedInputs(createRandom(layer), text + vision, hidden));
  writer.finish();
  return path;
}

let calibration = "";
beforeAll(() => {
  calibration = writeCalibration({ text: 200, vision: 100 });
});

/** The bytes of the piece of one expert: codes and scales of gate and up, then of down. */
function encodeExpert(settings: ConversionSettings, name: string, path?: string): Uint8Array[] {
  const calibrated = path === undefined ? undefined : new ExpertCalibration(CalibrationFile.open(path), config.moe);
  const tensors = openSource(source);
  const { jobs } = planConversion({ config, settings, inspect: false }, calibrated);
  const { piece } = jobs.find((job) => job.piece.reads[0]!.name.startsWith(name))!;
  const shares = piece.encode(piece.reads.map((tensor) => tensors.read(tensor.name, tensor.shape)));
  tensors.close();
  calibrated?.close();
  return [...shares];
}

function readWeights(folder: string): Buffer {
  return readFileSync(join(folder, "decoder.onnx.data"));
}

describe("experts rounded for a calibration run", () => {
  const textExpert = `model.layers.${layers[0]}.mlp.experts.3.`;
  const visionExpert = `model.layers.${layers[0]}.mlp.experts.${config.moe.expertCount + 1}.`;

  test.each([
    ["text", textExpert, config.moe.textWidth],
    ["vision", visionExpert, config.moe.visionWidth],
  ])("are the same for ONNX Runtime's operator and for ours (%s)", (_bank, name, width) => {
    const merged = encodeExpert(int4, name, calibration);
    const tiled = encodeExpert({ ...int4, experts: "modality-moe" }, name, calibration);

    const rowsOf = (codes: Uint8Array, scales: Uint8Array) => ({
      data: codes,
      scales: fromFloat16(new Uint16Array(scales.buffer, scales.byteOffset, scales.length / 2)),
    });
    const padded = Math.ceil(width / 32) * 32;
    // ONNX Runtime's rows alternate between gate and up, tiles alternate by 16 rows.
    const order = Int32Array.from({ length: 2 * padded }, (_, row) => {
      const own = Math.floor(row / 32) * 16 + (row % 16);
      return own >= width ? -1 : 2 * own + (row % 32 >= 16 ? 1 : 0);
    });
    const gateUp = arrangeRows([rowsOf(merged[0]!, merged[1]!)], order, { bits: 4, columns: hiddenSize, width: hiddenSize });
    const mergedWidth = (2 * merged[2]!.length) / hiddenSize;
    const down = rowsOf(merged[2]!, merged[3]!);
    const narrow = {
      data: dropColumns(down.data, mergedWidth / 2, padded / 2),
      scales: Float32Array.from(dropColumns(down.scales, mergedWidth / 32, padded / 32)),
    };
    const expected = [packTiles(gateUp, hiddenSize, 4), packTiles(narrow, padded, 4)].flatMap(({ data, scales }) => [
      data,
      new Uint8Array(toFloat16(scales).buffer),
    ]);
    expect(tiled.map((share) => Buffer.from(share).toString("hex"))).toEqual(expected.map((share) => Buffer.from(share).toString("hex")));
  });

  test("are others than without it; with too few tokens of a bank its experts are as without it, and the operator is told", () => {
    const few = writeCalibration({ text: 200, vision: 31 });

    expect(encodeExpert(int4, textExpert, few)).not.toEqual(encodeExpert(int4, textExpert));
    expect(encodeExpert(int4, visionExpert, calibration)).not.toEqual(encodeExpert(int4, visionExpert));
    expect(encodeExpert(int4, visionExpert, few)).toEqual(encodeExpert(int4, visionExpert));
    expect(checkCalibration(few, int4, config).notes).toEqual([
      "the calibration has 31 vision tokens, too few (32) to round the vision experts for",
    ]);
    expect(checkCalibration(calibration, int4, config).notes).toEqual([]);
  });
});

/** Of each row of `length` elements the first `kept`. */
function dropColumns<Values extends Uint8Array | Float32Array>(values: Values, length: number, kept: number): Values {
  return values.filter((_: number, i: number) => i % length < kept) as Values;
}

describe("a calibrated conversion", () => {
  test("gives the same bytes by one thread and by three that share the jobs; the manifest says what it was calibrated with", async () => {
    const target = join(temporaryFolder(), "model");
    await convertCheckpoint(nanoFolder, target, { ...options, calibration });

    expect(readWeights(convertByThree()).equals(readWeights(target))).toBe(true);
    expect(readManifest(target).calibration).toEqual({ sha256: CalibrationFile.open(calibration).sha256, tokenCount: 300 });
  });

  test.each<[string, () => string, Partial<ConversionSettings>, RegExp]>([
    ["other weights than int4", () => calibration, { weights: "int8" }, /int4, got int8 weights; leave it out or use --weights int4/],
    ["a run of a model of another width", () => writeCalibration({ text: 9, vision: 9, hidden: 8 }), {}, /inputs of 8; use a calibration/],
    [
      "a run of other layers",
      () => writeCalibration({ text: 9, vision: 9, of: [0] }),
      {},
      /got 1 layers .*; use a calibration run of this/,
    ],
    ["a file that is not there", () => join(temporaryFolder(), "missing"), {}, /cannot read/],
  ])("refuses %s before any work is done", async (_name, path, settings, message) => {
    const conversion = convertCheckpoint(nanoFolder, join(temporaryFolder(), "model"), {
      ...options,
      settings: { ...int4, ...settings },
      calibration: path(),
      onProgress: () => expect.fail("work was begun"),
    });

    await expect(conversion).rejects.toThrow(UserError);
    await expect(conversion).rejects.toThrow(message);
  });
});

/** The last jobs first, dealt to three threads as piscina might. */
function convertByThree(): string {
  const folder = temporaryFolder();
  const planOptions = { config, settings: int4, inspect: false };
  const plan = planConversion(planOptions);
  new DataFiles(folder, plan.dataFiles).close();
  const threads = [0, 1, 2].map(() => new TaskThread({ source, options: planOptions, folder, calibration }));
  for (const index of [...plan.jobs.keys()].toReversed()) threads[index % 3]!.run({ type: "job", index });
  for (const thread of threads) thread.close();
  return folder;
}
