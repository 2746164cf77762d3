import { createHash } from "node:crypto";
import { assert, integer, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { hubTensors, modelParts } from "../../src/convert/hub-tensors.ts";
import { openSynthetic } from "../../src/convert/synthetic.ts";
import { syntheticNames } from "../../src/convert/synthetic-shapes.ts";
import { drawNormal } from "../../src/convert/synthetic-values.ts";
import { kvBytesPerToken } from "../../src/model/kv-cache.ts";
import { UserError } from "../../src/core/errors.ts";

const count = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

function parameterCount(name: string, parts: readonly string[] = modelParts): number {
  const tensors = hubTensors(openSynthetic(name).config);
  return tensors.filter(({ part }) => parts.includes(part)).reduce((sum, { shape }) => sum + count(shape), 0);
}

function moments(values: Float32Array): { mean: number; deviation: number; kurtosis: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const power = (exponent: number) => values.reduce((sum, value) => sum + (value - mean) ** exponent, 0) / values.length;
  return { mean, deviation: Math.sqrt(power(2)), kurtosis: power(4) / power(2) ** 2 };
}

function correlation(a: Float32Array, b: Float32Array): number {
  const [of, to] = [moments(a), moments(b)];
  return a.reduce((sum, value, i) => sum + (value - of.mean) * (b[i]! - to.mean), 0) / (a.length * of.deviation * to.deviation);
}

describe("sizes", () => {
  test("28b has the parameters and the KV cache of the published model", () => {
    const { text } = openSynthetic("28b").config;

    // model spec, 1.3
    expect(parameterCount("28b") / 1e9).toBeCloseTo(29.4, 2);
    expect(parameterCount("28b", ["vision tower"]) / 1e9).toBeCloseTo(0.63, 3);
    expect(parameterCount("28b", ["resampler"]) / 1e9).toBeCloseTo(0.144, 3);
    expect(kvBytesPerToken(text, "bfloat16")).toBe(56 * 1024);
  });

  test("28b-thinking stores an LM head of its own, 28b does not", () => {
    expect(parameterCount("28b", ["LM head"])).toBe(0);
    expect(parameterCount("28b-thinking", ["LM head"])).toBe(103424 * 2560);
  });

  test("424b has about 424 billion parameters, top-8 routing and no shared experts", () => {
    const { moe } = openSynthetic("424b").config;

    expect(parameterCount("424b") / 1e9).toBeCloseTo(423.5, 1);
    expect(moe.topK).toBe(8);
    expect(parameterCount("424b", ["shared experts"])).toBe(0);
    expect(moe.sparseLayers.indexOf(true)).toBe(3);
  });

  test("mini has about 100 million parameters", () => {
    expect(parameterCount("mini") / 1e6).toBeGreaterThan(90);
    expect(parameterCount("mini") / 1e6).toBeLessThan(120);
  });

  test.each(syntheticNames)("%s: special tokens lie inside the vocabulary", (name) => {
    const { tokens, text } = openSynthetic(name).config;

    for (const id of Object.values(tokens).flat()) expect(id).toBeLessThan(text.vocabSize);
  });

  test("an unknown name is refused with the names there are", () => {
    expect(() => openSynthetic("27b")).toThrow(UserError);
    expect(() => openSynthetic("27b")).toThrow(/28b, 28b-slice, 28b-thinking, 424b, mini, nano.*got 27b/);
    expect(() => openSynthetic("toString")).toThrow(UserError);
  });
});

describe("values", () => {
  const unit = { mean: 0, deviation: 1, isBfloat16: false };

  test("any slice is what the whole has there", () => {
    const whole = drawNormal("key", unit, 0, 1000);

    assert(
      property(integer({ min: 0, max: 999 }), integer({ min: 0, max: 200 }), (start, length) => {
        const slice = drawNormal("key", unit, start, length);
        expect(slice.subarray(0, 1000 - start)).toEqual(whole.subarray(start, start + length));
      }),
    );
  });

  test("part of a tensor is that part of the whole", () => {
    const name = "model.layers.1.mlp.experts.3.up_proj.weight";
    const whole = openSynthetic("nano").read(name, [32, 128]);

    const part = openSynthetic("nano").readRange(name, [32, 128], 5, 12);

    expect(part).toEqual(whole.subarray(5, 17));
  });

  test("the numbers stay what they are from version to version", () => {
    const values = openSynthetic("28b").read("model.layers.27.self_attn.v_proj.weight", [512, 2560]);

    expect(createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex")).toBe(
      "18c2446a07da8140ac13f2ddb582cdc73a189569aee27843b25c8a857bb9cbe2",
    );
  });

  test("they are about normal, and independent of their neighbours", () => {
    const values = drawNormal("normal", unit, 0, 1 << 18);

    const { mean, deviation, kurtosis } = moments(values);

    // Deviations of these estimates over 2^18 draws: 0.002, 0.0014, 0.01; of a correlation 0.002.
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(deviation).toBeCloseTo(1, 2);
    expect(Math.abs(kurtosis - 3)).toBeLessThan(0.05);
    for (const distance of [1, 2, 3, 128, 2560, 4096]) {
      expect(Math.abs(correlation(values.subarray(0, -distance), values.subarray(distance)))).toBeLessThan(0.01);
    }
  });

  test("two tensors have nothing to do with each other", () => {
    const [a, b] = ["a", "b"].map((key) => drawNormal(key, unit, 0, 1 << 16)) as [Float32Array, Float32Array];

    expect(Math.abs(correlation(a, b))).toBeLessThan(0.02);
    expect(new Set(b).size).toBeGreaterThan(4000); // of 4096 quantiles
  });

  test.each([
    ["model.layers.1.mlp.experts.0.gate_proj.weight", [128, 512], 0, 512 ** -0.5],
    ["model.layers.1.mlp.experts.64.down_proj.weight", [512, 64], 0, 64 ** -0.5],
    ["model.embed_tokens.weight", [2048, 512], 0, 512 ** -0.5],
    ["model.layers.0.self_attn.k_proj.weight", [128, 512], 0, 2 * 512 ** -0.5],
    ["model.layers.0.self_attn.o_proj.weight", [512, 512], 0, 0.2 * 512 ** -0.5],
    ["model.layers.1.mlp.gate.weight_1", [512, 64], 0, 512 ** -0.5],
    ["vision_model.blocks.0.attn.qkv.bias", [768], 0, 0.02],
    ["model.layers.5.post_attention_layernorm.weight", [512], 1, 0.1],
    ["vision_model.ln.weight", [256], 1, 0.1],
    ["model.layers.2.mlp.moe_statics.e_score_correction_bias", [2, 64], 0, 0.001],
  ])("%s has the scale of a trained weight", (name, shape, mean, deviation) => {
    const values = openSynthetic("mini").read(name, shape);

    const got = moments(values);

    // Five standard errors.
    const tolerance = 5 / Math.sqrt(values.length);
    expect(Math.abs(got.mean - mean) / deviation).toBeLessThan(tolerance);
    expect(Math.abs(got.deviation / deviation - 1)).toBeLessThan(tolerance);
  });

  test("weights lie on the bfloat16 grid, routers do not", () => {
    const model = openSynthetic("nano");
    const lowBits = (name: string, shape: number[]) =>
      new Uint32Array(model.read(name, shape).buffer).reduce((or, word) => or | word, 0) & 0xffff;

    expect(lowBits("model.layers.0.self_attn.q_proj.weight", [128, 128])).toBe(0);
    expect(lowBits("model.norm.weight", [128])).toBe(0);
    expect(lowBits("model.layers.1.mlp.gate.weight", [128, 64])).not.toBe(0);
  });

  test.each(["gate.weight", "gate.weight_1"])("%s sends random tokens to all experts alike", (router) => {
    const model = openSynthetic("mini");
    const { expertCount, topK } = model.config.moe;
    const weight = model.read(`model.layers.3.mlp.${router}`, [512, 64]);
    const bias = model.read("model.layers.3.mlp.moe_statics.e_score_correction_bias", [2, 64]).subarray(router === "gate.weight" ? 0 : 64);
    const tokenCount = 4000;
    const tokens = drawNormal("hidden states", unit, 0, tokenCount * 512);

    const chosen = new Int32Array(expertCount);
    for (let t = 0; t < tokenCount; t++) {
      const logits = new Float64Array(expertCount);
      for (let c = 0; c < 512; c++) for (let e = 0; e < expertCount; e++) logits[e]! += tokens[t * 512 + c]! * weight[c * 64 + e]!;
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      const scores = logits.map((logit, e) => Math.exp(logit) / total + bias[e]!);
      const order = [...scores.keys()].toSorted((a, b) => scores[b]! - scores[a]!);
      for (const expert of order.slice(0, topK)) chosen[expert]!++;
    }

    const fair = (tokenCount * topK) / expertCount;
    expect(Math.min(...chosen) / fair).toBeGreaterThan(0.6);
    expect(Math.max(...chosen) / fair).toBeLessThan(1.5);
  });
});

describe("as a checkpoint", () => {
  test("it is complete when every tensor was read, in part or as a whole", () => {
    const model = openSynthetic("nano");
    const tensors = hubTensors(model.config);

    for (const { name, shape } of tensors.slice(1)) model.readRange(name, shape, 0, 0);
    expect(() => model.finish()).toThrow(/1 unused, e\.g\. model\.embed_tokens\.weight/);

    model.read(tensors[0]!.name, tensors[0]!.shape);
    expect(() => model.finish()).not.toThrow();
  });

  test("a tensor it does not have, or one of another shape, cannot be read", () => {
    const model = openSynthetic("nano");

    expect(() => model.read("lm_head.weight", [2048, 128])).toThrow(/lm_head/);
    expect(() => model.read("model.norm.weight", [127])).toThrow(/model\.norm/);
  });
});
