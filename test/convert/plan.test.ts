import { describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { buildDecoder } from "../../src/convert/blocks/decoder.ts";
import { buildSampler } from "../../src/convert/blocks/sampler.ts";
import { buildVision } from "../../src/convert/blocks/vision.ts";
import { Weights } from "../../src/convert/blocks/weights.ts";
import { ernieDomain } from "../../src/convert/onnx/custom-ops.ts";
import { Graph, type Node } from "../../src/convert/onnx/graph.ts";
import { placePieces } from "../../src/convert/onnx/model-file.ts";
import { planConversion } from "../../src/convert/plan.ts";
import { readModelConfig } from "../../src/convert/read-config.ts";
import { UserError } from "../../src/core/errors.ts";
import { graphFiles } from "../../src/core/graph-io.ts";
import { manifestFormatVersion } from "../../src/core/manifest.ts";
import type { ModelConfig } from "../../src/core/model-config.ts";

const nano = readModelConfig(nanoModel);
const odd: ModelConfig = { ...nano, text: { ...nano.text, hiddenSize: 136 } };

describe("planConversion", () => {
  test.each(["int4", "int8"] as const)("refuses %s weights for a hidden size that is not made of whole blocks", (weights) => {
    const plan = () => planConversion({ config: odd, settings: { weights, activations: "fp32" }, inspect: false });

    expect(plan).toThrow(
      new UserError(`${weights} weights need a hidden size that is a multiple of 32, but this model's is 136; use --weights fp32`),
    );
  });

  test.each([
    { expertCount: 129, topK: 6 },
    { expertCount: 64, topK: 9 },
  ])("refuses our own operator for more experts than it takes: %j", (changes) => {
    const config = { ...nano, moe: { ...nano.moe, ...changes } };
    const plan = (experts: { experts?: "modality-moe" }) =>
      planConversion({ config, settings: { weights: "int4", activations: "fp32", ...experts }, inspect: false });

    expect(() => plan({ experts: "modality-moe" })).toThrow(
      new UserError(
        `the ModalityMoe kernel supports up to 128 experts per modality and 8 per token, but this model has ${changes.expertCount} and ${changes.topK}; use --experts onnxruntime`,
      ),
    );
    expect(plan({}).jobs.length).toBeGreaterThan(0);
  });

  test("writes every byte of every data file exactly once", () => {
    const plan = planConversion({ config: nano, settings: { weights: "int4", activations: "fp32" }, inspect: false });

    for (const { name, byteLength } of plan.dataFiles) {
      const regions = plan.jobs.filter((job) => job.dataFile === name).flatMap((job) => job.targets);
      const sorted = regions.toSorted((a, b) => a.offset - b.offset);
      sorted.forEach((region, i) =>
        expect(region.offset).toBeGreaterThanOrEqual(i === 0 ? 0 : sorted[i - 1]!.offset + sorted[i - 1]!.byteLength),
      );
      const last = sorted.at(-1)!;
      expect(last.offset + last.byteLength).toBe(byteLength);
    }
  });

  test("the decoder with an int8 cache has the weights of the other one, at the same places", () => {
    const build = {
      config: nano,
      weights: new Weights({ weights: "int4", activations: "fp32" }),
      inspect: false,
      probe: false,
    };
    const regions = (cacheType: "activation" | "int8") =>
      placePieces(buildDecoder(build, { cacheType })).map(({ piece, targets }) => [piece.reads, targets]);

    expect(regions("int8")).toEqual(regions("activation"));
    const { modelFiles } = planConversion({ config: nano, settings: { weights: "int4", activations: "fp32" }, inspect: false });
    const { encode } = modelFiles.find(({ name }) => name === graphFiles.decoderInt8Cache)!;
    const encoded = Buffer.from(encode());
    expect(encoded.includes("decoder.onnx.data")).toBe(true);
    expect(encoded.includes("decoder-int8-cache.onnx.data")).toBe(false);
  });

  describe("for 16-bit activations, which a GPU can compute with", () => {
    const build = { config: nano, weights: new Weights({ weights: "int4", activations: "bf16" }), inspect: false, probe: false };

    test("ONNX Runtime's expert operator gets weights of a width that its CUDA kernel takes", () => {
      const { initializers } = buildDecoder(build);
      const down = initializers.filter(({ name }) => name.endsWith("down_proj.quantized") && name.includes("experts"));

      expect(down.length).toBeGreaterThan(0);
      expect(nano.moe.textWidth % 64).not.toBe(0);
      for (const { shape } of down) expect((2 * shape[2]!) % 64).toBe(0); // two weights in a byte
    });

    test("no operator is one whose CUDA kernel needs cuDNN", () => {
      const graphs = [buildDecoder(build), buildVision(build), buildSampler(nano.text.vocabSize, false)];
      const operators = new Set(graphs.flatMap(nodesOf).map(({ op }) => op));

      expect(["MultiHeadAttention", "ReduceLogSumExp", "ReduceMax", "Conv"].filter((op) => operators.has(op))).toEqual([]);
    });
  });

  test("a folder says by its format whether the kernels of today can run it: operators that are gone or changed want another manifestFormatVersion", () => {
    const build = {
      config: nano,
      weights: new Weights({ weights: "int4", activations: "fp32", experts: "modality-moe" }),
      inspect: false,
      probe: false,
    };
    const graphs = [buildDecoder(build), buildVision(build)];
    const own = graphs.flatMap(nodesOf).filter(({ domain }) => domain === ernieDomain);
    const describeNode = ({ op, inputs, attributes = {} }: (typeof own)[number]) =>
      [op, `${inputs.length} inputs`, ...(Object.keys(attributes).length > 0 ? [Object.keys(attributes).toSorted().join(" ")] : [])].join(
        ", ",
      );
    const signatures = new Set(own.map(describeNode));

    expect({ version: manifestFormatVersion, operators: [...signatures].toSorted() }).toEqual({
      version: 3,
      operators: [
        "GatedMlp, 5 inputs",
        "ModalityMoe, 16 inputs, norm_min top_k",
        "QuantizedLinear, 3 inputs",
        "QuantizedLinear, 5 inputs, rotated_heads",
        "VisionAttention, 3 inputs, heads",
      ],
    });
  });

  test("our own expert operator needs no padding: its weights are smaller where vision experts are narrower", () => {
    const narrow: ModelConfig = { ...nano, moe: { ...nano.moe, textWidth: 96, visionWidth: 32 } };
    const bytes = (experts: { experts?: "modality-moe" }) =>
      planConversion({ config: narrow, settings: { weights: "int4", activations: "fp32", ...experts }, inspect: false }).dataFiles[0]!
        .byteLength;

    expect(bytes({ experts: "modality-moe" })).toBeLessThan(0.8 * bytes({}));
  });
});

/** The nodes of a graph and of the branches inside it. */
function nodesOf({ nodes }: Graph): Node[] {
  return nodes.flatMap((node) => [
    node,
    ...Object.values(node.attributes).flatMap((attribute) => (attribute instanceof Graph ? nodesOf(attribute) : [])),
  ]);
}
