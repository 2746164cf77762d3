import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { calibratedInput, calibratedInputs } from "../../src/convert/calibrated-inputs.ts";
import { Calibration } from "../../src/convert/calibration.ts";
import { CalibrationFile, CalibrationWriter } from "../../src/convert/calibration-file.ts";
import { checkCalibration } from "../../src/convert/check-calibration.ts";
import { convertCheckpoint, type ConvertOptions } from "../../src/convert/convert.ts";
import { DataFiles } from "../../src/convert/data-files.ts";
import { TaskThread } from "../../src/convert/job-pool.ts";
import { packTiles } from "../../src/convert/onnx/custom-ops.ts";
import type { TensorRef } from "../../src/convert/onnx/graph.ts";
import { planConversion } from "../../src/convert/plan.ts";
import { arrangeRows } from "../../src/convert/quantize/arrange-rows.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { openSource } from "../../src/convert/source.ts";
import { UserError } from "../../src/core/errors.ts";
import { toFloat16, fromFloat16 } from "../../src/core/half.ts";
import type { ConversionSettings } from "../../src/core/manifest.ts";
import { readManifest } from "../../src/model-folder.ts";
import { correlatedInputs, createRandom } from "./correlated-inputs.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const source = { type: "checkpoint", folder: nanoModel } as const;
const config = readModelConfig(nanoModel);
const { hiddenSize } = config.text;
const layers = config.moe.sparseLayers.flatMap((isSparse, layer) => (isSparse ? [layer] : []));
/** What int4 needs of them is among them. */
const allInputs = calibratedInputs(config, "int4-all");
const int4: ConversionSettings = { weights: "int4", activations: "fp16" };
const options: ConvertOptions = { settings: int4, programVersion: "1.0.0" };

function writeCalibration({ text, vision, inputs = allInputs }: { text: number; vision: number; inputs?: ReadonlyMap<string, number> }) {
  const path = join(temporaryFolder(), "calibration");
  const visionExpert = Uint8Array.from({ length: text + vision }, (_, i) => (i < text ? 0 : 1));
  const writer = new CalibrationWriter(path, { inputs, visionExpert });
  let seed = 0;
  for (const [name, width] of inputs) writer.append(name, 0, correlatedInputs(createRandom(seed++), text + vision, width));
  writer.finish();
  return path;
}

let calibration = "";
beforeAll(() => {
  calibration = writeCalibration({ text: 200, vision: 100 });
});

/** The bytes of the piece of one expert: codes and scales of gate and up, then of down. */
function encodeExpert(settings: ConversionSettings, name: string, path?: string): Uint8Array[] {
  const calibrated = path === undefined ? undefined : new Calibration(path, config.moe);
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
      "the calibration has only 31 vision tokens; the vision experts need 32 and are not calibrated",
    ]);
    expect(checkCalibration(calibration, int4, config).notes).toEqual([]);
  });
});

/** Of each row of `length` elements the first `kept`. */
function dropColumns<Values extends Uint8Array | Float32Array>(values: Values, length: number, kept: number): Values {
  return values.filter((_: number, i: number) => i % length < kept) as Values;
}

describe("a calibrated conversion", () => {
  const everything: ConversionSettings = { weights: "int4-all", activations: "fp16", experts: "modality-moe" };

  test.each([int4, everything])("gives the same bytes by one thread and by three that share the jobs: %o", async (settings) => {
    const target = join(temporaryFolder(), "model");
    await convertCheckpoint(nanoModel, target, { ...options, settings, calibration });

    expect(readWeights(convertByThree(settings)).equals(readWeights(target))).toBe(true);
    expect(readManifest(target).calibration).toEqual({ sha256: CalibrationFile.open(calibration).sha256, tokenCount: 300 });
  });

  test.each([
    [int4, /\.experts\.\d+\.gate_proj/],
    [everything, /\.experts\.\d+\.gate_proj|layers\.[1-9]\.self_attn|shared_experts|embed_tokens/],
  ])("decides about the int4 matrices, and about nothing else: %o", (settings, isInt4) => {
    const tensors = openSource(source);
    const calibrated = new Calibration(calibration, config.moe);
    const encodeAll = (plan: ReturnType<typeof planConversion>) =>
      plan.jobs
        .filter(({ dataFile }) => dataFile.startsWith("decoder"))
        .map(({ piece }) => {
          const shares = piece.encode(piece.reads.map((tensor) => tensors.readRange(tensor.name, tensor.shape, ...rangeOf(tensor))));
          return [piece.reads[0]!.name, Buffer.concat(shares).toString("latin1")] as const;
        });
    const searched = encodeAll(planConversion({ config, settings, inspect: false }));

    const changed = encodeAll(planConversion({ config, settings, inspect: false }, calibrated)).filter(
      ([, bytes], i) => bytes !== searched[i]![1],
    );

    // The tied table is there twice: as it is, and as the head.
    const names = searched.map(([name]) => name).filter((name, i, all) => isInt4.test(name) && (name !== all[0] || i > 0));
    expect(changed.map(([name]) => name)).toEqual(names);
    tensors.close();
    calibrated.close();
  });

  test.each<[string, () => string, Partial<ConversionSettings>, RegExp]>([
    [
      "other weights than int4",
      () => calibration,
      { weights: "int8" },
      /int4 weights only, got int8 weights; omit it or use --weights int4/,
    ],
    [
      "a run of a model of another width",
      () => writeCalibration({ text: 9, vision: 9, inputs: new Map([...allInputs.keys()].map((name) => [name, 8])) }),
      {},
      /expected layers\.1\.experts with 128 numbers per token, got 8; calibrate this model for these weights/,
    ],
    [
      "a run of other layers",
      () => writeCalibration({ text: 9, vision: 9, inputs: new Map([[calibratedInput.experts(0), hiddenSize]]) }),
      {},
      /expected layers\.1\.experts with 128 numbers per token, got none; calibrate/,
    ],
    [
      "a run for int4 where linear layers are int4, too",
      () => writeCalibration({ text: 9, vision: 9, inputs: calibratedInputs(config, "int4") }),
      { weights: "int4-all" },
      /expected layers\.1\.attention with 128 numbers per token, got none; calibrate/,
    ],
    ["a file that is not there", () => join(temporaryFolder(), "missing"), {}, /cannot read/],
  ])("refuses %s before any work is done", async (_name, path, settings, message) => {
    const conversion = convertCheckpoint(nanoModel, join(temporaryFolder(), "model"), {
      ...options,
      settings: { ...int4, ...settings },
      calibration: path(),
      onProgress: () => expect.fail("work was begun"),
    });

    await expect(conversion).rejects.toThrow(UserError);
    await expect(conversion).rejects.toThrow(message);
  });
});

/** Start and length of what is read of a tensor, in elements. */
function rangeOf({ shape, rows }: TensorRef): [number, number] {
  const rowLength = shape.slice(1).reduce((product, length) => product * length, 1);
  return [(rows?.start ?? 0) * rowLength, (rows?.count ?? shape[0]!) * rowLength];
}

/** The last jobs first, dealt to three threads as piscina might. */
function convertByThree(settings: ConversionSettings): string {
  const folder = temporaryFolder();
  const planOptions = { config, settings, inspect: false };
  const plan = planConversion(planOptions);
  new DataFiles(folder, plan.dataFiles).close();
  const threads = [0, 1, 2].map(() => new TaskThread({ source, options: planOptions, folder, calibration }));
  for (const index of [...plan.jobs.keys()].toReversed()) threads[index % 3]!.run({ type: "job", index });
  for (const thread of threads) thread.close();
  return folder;
}
