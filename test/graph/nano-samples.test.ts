import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { LocalModel } from "../../scripts/evaluate/local-model.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { temporaryFolder } from "../temporary-folder.ts";

type Sample = {
  readonly skill: string;
  readonly images: readonly string[];
  readonly is_video: boolean;
  readonly enable_thinking: boolean;
  readonly prompt: string;
  readonly hf_output: string;
};

const samples = JSON.parse(readFileSync(join(nanoModel, "samples/samples.json"), "utf8")) as Sample[];
const work = temporaryFolder();
let model: LocalModel;

beforeAll(async () => {
  await convertCheckpoint(nanoModel, join(work, "model"), { settings: { weights: "fp32", activations: "fp32" }, programVersion: "test" });
  model = new LocalModel(join(work, "model"));
});

afterAll(() => {
  model.dispose();
});

// From the rendered prompt on, so that tool and video prompts are covered too.
test.each(samples.map((sample, i) => [i, sample.skill, sample] as const))(
  "sample %i (%s) is answered word for word as transformers does",
  async (_, __, { images, is_video: isVideo, prompt, hf_output: expected }) => {
    const files = images.map((image) => join(nanoModel, "samples", image));
    const encoded = await model.encodeRendered(prompt, isVideo ? [files] : files.map((file) => [file]));

    const [output] = model.answer([encoded], 160);

    expect(output).toBe(expected);
  },
);
