import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ReferenceCase } from "../../scripts/parity/reference-case.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { routingDecoder } from "../../src/convert/routing-graph.ts";
import { decoderIo } from "../../src/core/graph-io.ts";
import type { ConversionSettings, Manifest } from "../../src/core/manifest.ts";
import { notComputed, type ModalityRouting, type SequenceRouting } from "../../src/core/routing.ts";
import { greedy } from "../../src/core/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { ErnieModel } from "../../src/model/ernie-model.ts";
import { readManifest } from "../../src/model-folder.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { hasTinyA, tinyA, tinyACases } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const cases = tinyACases;
const work = temporaryFolder();
const chunkTokens = 7;

const quantized: [string, ConversionSettings][] = [
  ["ONNX Runtime's operator", { weights: "int4", activations: "fp32" }],
  ["the ModalityMoe kernel", { weights: "int4", activations: "fp32", experts: "modality-moe" }],
];
if (!findKernelLibrary()) test.skip("ModalityMoe: NOT TESTED, the kernel library is not built (npm run kernels:build)", () => {});

describe
  .skipIf(!hasTinyA)
  .each([
    ["float32 weights", { weights: "fp32", activations: "fp32" } as ConversionSettings],
    ...quantized.filter(([, { experts }]) => experts === undefined || findKernelLibrary()),
  ])("a decoder that exposes its routing, with %s,", (name, settings) => {
  const target = join(work, name);
  let manifest: Manifest;
  let runtime: Runtime;
  let model: ErnieModel;

  beforeAll(async () => {
    await convertCheckpoint(join(tinyA, "checkpoint-hub"), target, { settings, programVersion: "test" });
    manifest = readManifest(target);
    runtime = new Runtime();
    const options = { threadCount: 1, slotCount: 4, slotCapacity: 1024, prefillChunkTokens: chunkTokens, imageCacheBytes: 2 ** 24 };
    model = new ErnieModel(runtime, target, manifest.config, "float32", {
      ...options,
      routingDecoder: routingDecoder(manifest, "activation"),
    });
  });

  afterAll(() => {
    model.dispose();
    runtime.dispose();
  });

  /** Answers of `maxTokens` tokens, side by side. */
  const answer = (engine: Engine, asked: readonly ReferenceCase[], maxTokens: number): SequenceRouting[] => {
    asked.forEach(({ prompt }, i) =>
      engine.submit(i as SequenceId, { prompt, sampling: greedy, maxTokens, stopTokenIds: [], wantsRouting: true }),
    );
    const answers: SequenceRouting[] = [];
    while (engine.hasWork()) for (const [id, event] of engine.step()) if (event.type === "finished") answers[id] = event.routing!;
    return answers;
  };

  const newEngine = () => new Engine(model, { prefillChunkTokens: chunkTokens });

  test("is the decoder of the conversion but for one output", () => {
    const stored = readFileSync(join(target, "decoder.onnx"));

    expect(createHash("sha256").update(stored).digest("hex")).toBe(manifest.files["decoder.onnx"]!.sha256);
    expect(stored.includes(decoderIo.chosenExperts)).toBe(false);
    expect(Buffer.from(routingDecoder(manifest, "activation")).includes(decoderIo.chosenExperts)).toBe(true);
    expect(Buffer.from(routingDecoder(manifest, "int8")).includes(decoderIo.chosenExperts)).toBe(true);
  });

  test("is refused for the conversion of another version, whose weights may lie elsewhere", () => {
    const files = { ...manifest.files, "decoder.onnx": { bytes: 1, sha256: "0".repeat(64) } };

    expect(() => routingDecoder({ ...manifest, files }, "activation")).toThrow(/--expose-routing.*convert the checkpoint again/);
  });

  test("sends text tokens to text experts and vision tokens to vision experts, each to as many as it should, in prefill and decode", () => {
    const answers = answer(newEngine(), cases, 5);

    const { topK, expertCount } = manifest.config.moe;
    answers.forEach((routing, i) => {
      const vision = cases[i]!.prompt.visionExpert.reduce((sum, flag) => sum + flag, 0);
      expect(routing.vision.tokens).toBe(vision);
      expect(routing.text.tokens).toBe(cases[i]!.prompt.tokenIds.length - vision + 4); // the fifth token of the answer is not computed
      for (const modality of ["text", "vision"] as const) {
        for (const row of rows(routing[modality], routing.layers.length)) {
          const [own, other] =
            modality === "text" ? [row.slice(0, expertCount), row.slice(expertCount)] : [row.slice(expertCount), row.slice(0, expertCount)];
          expect(sum(own)).toBe(routing[modality].tokens * topK);
          expect(sum(other)).toBe(0);
        }
      }
    });
  });

  test("tells the favourite expert of each token that a picture fills", () => {
    const answers = answer(newEngine(), cases, 1);

    const { expertCount } = manifest.config.moe;
    expect(answers.some(({ pictures }) => pictures.length > 0)).toBe(true);
    answers.forEach(({ pictures, layers }, i) => {
      expect(pictures.map(({ favourites }) => favourites!.length)).toEqual(
        cases[i]!.prompt.spans.map(({ length }) => layers.length * length),
      );
      for (const { favourites } of pictures) for (const expert of favourites!) expect(Math.floor(expert / expertCount)).toBe(1);
    });
  });

  test("counts only what was computed: nothing of a prefix from the cache", () => {
    const engine = newEngine();
    const withPicture = cases.filter(({ prompt }) => prompt.spans.length > 0).slice(0, 1);
    const [first] = answer(engine, withPicture, 1);

    const [second] = answer(engine, withPicture, 3);

    expect(first!.text.tokens + first!.vision.tokens).toBe(withPicture[0]!.prompt.tokenIds.length);
    expect(second!.text.tokens + second!.vision.tokens).toBe(3); // the prompt's last token and two of the answer
    expect(second!.pictures.flatMap(({ favourites }) => [...favourites!]).every((expert) => expert === notComputed)).toBe(true);
  });

  const exactCases = settings.weights === "fp32" ? cases : []; // quantized weights flip experts whose scores are close
  if (exactCases.length > 0)
    test.each(exactCases)("chooses what transformers chooses: $name", (item) => {
      const [routing] = answer(newEngine(), [item], 1);

      const { layers, text, vision, pictures } = routing!;
      const { topK, expertCount } = manifest.config.moe;
      const expected = layers.map((layer) => {
        const zeros = () => Array.from({ length: 2 * expertCount }, () => 0);
        const counts = { text: zeros(), vision: zeros() };
        const selected = item.tensors.get(`router.layer${layer}.selected`)!.data as Int32Array;
        selected.forEach((expert, choice) => {
          const isVision = item.prompt.visionExpert[Math.floor(choice / topK)] === 1;
          counts[isVision ? "vision" : "text"][expert + (isVision ? expertCount : 0)]!++;
        });
        item.prompt.spans.forEach(({ start, length }, i) => {
          const ofLayer = pictures[i]!.favourites!.subarray(layers.indexOf(layer) * length, (layers.indexOf(layer) + 1) * length);
          ofLayer.forEach((expert, cell) => {
            const chosen = selected.subarray((start + cell) * topK, (start + cell + 1) * topK);
            expect(chosen).toContain(expert - expertCount);
          });
        });
        return counts;
      });
      expect(rows(text, layers.length)).toEqual(expected.map((counts) => counts.text));
      expect(rows(vision, layers.length)).toEqual(expected.map((counts) => counts.vision));
    });
});

function rows({ counts }: ModalityRouting, layerCount: number): number[][] {
  const width = counts.length / layerCount;
  return Array.from({ length: layerCount }, (_, layer) => [...counts.subarray(layer * width, (layer + 1) * width)]);
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
