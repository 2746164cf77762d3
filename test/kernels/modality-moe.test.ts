import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DataType } from "../../src/core/data-type.ts";
import { encodeModel } from "../../src/convert/onnx/model-file.ts";
import { packTiles } from "../../src/convert/onnx/custom-ops.ts";
import { TensorBuffer } from "../../src/model/tensor-buffer.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import type { Binding } from "../../src/runtime/session.ts";
import { formats, type Activation } from "./activation-formats.ts";
import type { LayerRuns } from "./layer-worker.ts";
import {
  expectedChoices,
  expectedOutput,
  layerGraph,
  makeLayer,
  randomNumbers,
  type Layer,
  type LayerSizes,
} from "./modality-moe-layer.ts";
import { relativeError } from "../../scripts/relative-error.ts";

const library = findKernelLibrary();
const isBuilt = library !== undefined;

const small: LayerSizes = { hidden: 64, experts: 8, topK: 3, widths: [96, 32], bits: 4 };

describe("packTiles", () => {
  test("puts row 2, columns 8 to 15 of an int4 block into bytes 72 to 75, low nibbles first", () => {
    const data = new Uint8Array((16 * 32) / 2);
    data.set([0x21, 0x43, 0x65, 0x87], 2 * 16 + 4); // row 2, columns 8…15 hold 1…8

    const tiled = packTiles({ data, scales: Float32Array.from({ length: 16 }, (_, r) => r) }, 32, 4);

    expect([...tiled.data.subarray(72, 76)]).toEqual([0x51, 0x62, 0x73, 0x84]);
    expect(tiled.data.reduce((sum, byte) => sum + (byte ? 1 : 0), 0)).toBe(4);
    expect([...tiled.scales]).toEqual(Array.from({ length: 16 }, (_, r) => r));
  });

  test("puts row 1, column 6 of an int8 block's second tile into its place", () => {
    const data = new Uint8Array(32 * 64);
    data[17 * 64 + 32 + 6] = 9; // row 17, block 1, column 6

    const tiled = packTiles({ data, scales: new Float32Array(64) }, 64, 8);

    // tile 1, block 1, piece 1, row 1, byte 2
    expect(tiled.data.indexOf(9)).toBe((1 * 2 + 1) * 512 + 64 + 4 + 2);
  });
});

describe.skipIf(!isBuilt)(
  isBuilt
    ? "ModalityMoe in ONNX Runtime"
    : "ModalityMoe in ONNX Runtime: NOT TESTED, kernels/build/libernie_kernels.so is missing (run npm run kernels:build)",
  () => {
    let runtime: Runtime;
    const folder = mkdtempSync(join(tmpdir(), "modality-moe-"));
    beforeAll(() => {
      runtime = new Runtime();
    });
    afterAll(() => {
      runtime?.dispose();
      rmSync(folder, { recursive: true, force: true });
    });

    const save = (layer: Layer, activation: DataType = "float32") => {
      const path = join(folder, `${Math.random()}.onnx`);
      writeFileSync(path, encodeModel(layerGraph(layer, activation), "none", "modality-moe"));
      return path;
    };

    const open = (layer: Layer, activation: DataType = "float32") =>
      runtime.openSession(save(layer, activation), { threadCount: 2, customOpsLibrary: library! });

    const run = (
      session: ReturnType<typeof open>,
      x: Float32Array,
      visionExpert: readonly boolean[],
      activation: Activation = "float32",
      bindMore = (_binding: Binding): void => {},
    ) => {
      const hidden = x.length / visionExpert.length;
      const [input, output] = [new TensorBuffer(runtime, activation, x.length), new TensorBuffer(runtime, activation, x.length)];
      const flags = new TensorBuffer(runtime, "bool", visionExpert.length);
      input.data.set(formats[activation].encode(x));
      flags.data.set(visionExpert.map(Number));
      const binding = session.createBinding();
      try {
        binding.input("x", input.shaped(1, visionExpert.length, hidden));
        binding.input("vision_expert", flags.shaped(1, visionExpert.length));
        binding.output("y", output.shaped(1, visionExpert.length, hidden));
        bindMore(binding);
        binding.run();
        return formats[activation].decode(output.data);
      } finally {
        binding.dispose();
        for (const buffer of [input, output, flags]) buffer.dispose();
      }
    };

    test.each([
      [4, 0, 8, "float32", 1e-4],
      [4, 160, 8, "float32", 1e-4],
      [4, 160, 4, "float32", 1e-4],
      [8, 160, 8, "float32", 1e-4],
      [4, 160, 8, "float16", 4e-4],
      [4, 0, 8, "bfloat16", 3e-3],
    ] as const)(
      "int%i weights, shared experts of width %i in int%i and %s activations agree with the specification",
      (bits, sharedWidth, sharedBits, activation, tolerance) => {
        const layer = makeLayer({ ...small, bits, sharedWidth, sharedBits });
        const session = open(layer, activation);
        for (const [tokens, share] of [
          [1, 0],
          [1, 1],
          [5, 0.5],
          [40, 0],
          [40, 1],
          [130, 0.3],
        ] as const) {
          const { encode, decode } = formats[activation];
          const x = decode(encode(randomNumbers(tokens * small.hidden, tokens, 2)));
          const visionExpert = [...randomNumbers(tokens, tokens + 1)].map((value) => (value + 1) / 2 < share);

          const y = run(session, x, visionExpert, activation);

          // Activations are rounded to 15 bits per block of 32, the result to its own type.
          expect(relativeError(y, expectedOutput(layer, x, visionExpert)), `${tokens} tokens, ${share} vision`).toBeLessThan(tolerance);
        }
        session.dispose();
      },
    );

    test("tells which experts it chose, numbered over both banks, and computes the same then", () => {
      const layer = makeLayer(small);
      const tokens = 1100; // more than one pass of the CPU kernel
      const x = randomNumbers(tokens * small.hidden, 3, 2);
      const visionExpert = Array.from({ length: tokens }, (_, t) => t % 3 === 0);
      const session = runtime.openSession(encodeModel(layerGraph(layer, "float32", true), "none", "modality-moe"), {
        threadCount: 2,
        customOpsLibrary: library!,
      });
      const chosen = new TensorBuffer(runtime, "int32", tokens * small.topK);

      const y = run(session, x, visionExpert, "float32", (binding) => binding.output("chosen", chosen.shaped(1, tokens, small.topK)));

      expect([...chosen.data]).toEqual(expectedChoices(layer, x, visionExpert));
      const plain = open(layer);
      expect(y).toEqual(run(plain, x, visionExpert));
      for (const owned of [chosen, session, plain]) owned.dispose();
    });

    test("serves two sessions at once without mixing them up", async () => {
      const layers = [makeLayer(small, 1), makeLayer({ ...small, hidden: 96, widths: [32, 64] }, 2)];
      const ready = new Int32Array(new SharedArrayBuffer(4));
      const roundsOf = (hidden: number, seed: number) =>
        Array.from({ length: 50 }, (_, round) => {
          const tokens = 1 + (round % 5) * 7;
          const visionExpert = Array.from({ length: tokens }, (_, t) => t % 3 === 0);
          return { x: randomNumbers(tokens * hidden, round + seed, 2), visionExpert };
        });

      const results = await Promise.all(
        layers.map(async (layer, i) => {
          const { hidden } = layer.sizes;
          const rounds = roundsOf(hidden, 1000 * i);
          const workerData: LayerRuns = { graphPath: save(layer), library: library!, hidden, rounds, ready };
          const worker = new Worker(runLayerWorker, { eval: true, workerData });
          const [outputs] = (await once(worker, "message")) as [Float32Array[]];
          return rounds.map(({ x, visionExpert }, round) => relativeError(outputs[round]!, expectedOutput(layer, x, visionExpert)));
        }),
      );

      expect(Math.max(...results.flat())).toBeLessThan(1e-4);
    });

    test("a NaN or Inf stays with its token", () => {
      const layer = makeLayer(small);
      const session = open(layer);
      const x = randomNumbers(3 * small.hidden, 1);
      const visionExpert = [false, false, true];
      const clean = run(session, x, visionExpert);
      x[small.hidden + 5] = NaN;
      x[small.hidden + 40] = Infinity;

      const y = run(session, x, visionExpert);

      expect(y.subarray(0, small.hidden)).toEqual(clean.subarray(0, small.hidden));
      expect(y.subarray(2 * small.hidden)).toEqual(clean.subarray(2 * small.hidden));
      expect(y.subarray(small.hidden, 2 * small.hidden).every(Number.isNaN)).toBe(true);
      session.dispose();
    });

    test("a layer whose shapes do not fit together is refused when it is loaded", () => {
      const layer = makeLayer(small);

      expect(() => open({ ...layer, sizes: { ...small, topK: 9 } })).toThrow(/top_k is 9, wants 1…8 and at most E/);
    });
  },
);

// A worker thread of Node 20 does not read TypeScript by itself.
const layerWorker = JSON.stringify(new URL("./layer-worker.ts", import.meta.url));
const runLayerWorker = `import("tsx/esm/api").then(({ tsImport }) => tsImport(${layerWorker}, ${layerWorker}))`;
