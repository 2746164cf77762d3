import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { nanoModel } from "../../src/core/nano-model.ts";
import { allLogits, meanDivergence } from "../../scripts/evaluate/kl-divergence.ts";
import { evaluationCases, toChat } from "../../scripts/evaluate/evaluation-set.ts";
import { LocalModel } from "../../scripts/evaluate/local-model.ts";
import { recordCalibration } from "../../scripts/evaluate/record-calibration.ts";
import { convertCalibrated } from "../../src/cli/calibrate.ts";
import { builtInChats } from "../../src/cli/calibration/built-in-chats.ts";
import { hashChats } from "../../src/cli/calibration/calibration-chat.ts";
import { CalibrationFile } from "../../src/convert/calibration-file.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { Source } from "../../src/convert/source.ts";
import type { WeightFormat } from "../../src/core/manifest.ts";
import { readManifest, verifyFiles } from "../../src/model-folder.ts";
import { hasTinyA, tinyA, tinyACases } from "../reference/tiny-a.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const nano: Source = { type: "checkpoint", folder: nanoModel };
const root = temporaryFolder();

// Few tokens, so that a calibration takes a second.
const chatFile = join(root, "chats.jsonl");
const questions = ["What is the capital of France?", "Add 12 and 30.", "Who are you?", "Repeat: tree, house, river.", "Hello!"];
writeFileSync(chatFile, questions.map((content) => JSON.stringify({ messages: [{ role: "user", content }] })).join("\n"));

type Calibration = { readonly lines: string[]; readonly done: Promise<void> };

/** `onLine` sees each line of output as it comes. */
function calibrate(source: Source, target: string, onLine: (line: string) => void = () => {}, weights: WeightFormat = "int4"): Calibration {
  const lines: string[] = [];
  const options = { settings: { weights, activations: "fp32" as const }, programVersion: "test", overwrite: false, chatFile };
  const done = convertCalibrated(source, target, options, (line) => {
    lines.push(line);
    onLine(line);
  });
  return { lines, done };
}

const manifestOf = (folder: string) => readFileSync(join(folder, "manifest.json"), "utf8");

describe("a calibrated conversion", () => {
  const undisturbed = join(root, "undisturbed");
  let lines: string[];

  beforeAll(async () => {
    const calibration = calibrate(nano, undisturbed);
    await calibration.done;
    lines = calibration.lines;
  });

  test("says its three steps and leaves nothing but the model", async () => {
    expect(lines.filter((line) => /^\d\/3/.test(line))).toEqual(["1/3 convert", "2/3 calibrate", "3/3 convert with calibration"]);
    expect(lines.find((line) => line.startsWith("Calibrated"))).toMatch(/^Calibrated in \d+\.\d s on \d+ tokens of \d+ chats$/);
    expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
    await verifyFiles(undisturbed, readManifest(undisturbed));
  });

  test("answers questions", async () => {
    const model = new LocalModel(undisturbed);
    const prompt = await model.encodeChat({
      messages: [{ role: "user", content: [{ type: "text", text: "What is the capital of France?" }] }],
      thinking: false,
    });

    expect(model.answer([prompt], 20)[0]).toContain("Paris");
    model.dispose();
  });

  test("differs from an uncalibrated one in the decoder's weights only", async () => {
    const plain = join(root, "uncalibrated");
    await convertCheckpoint(nanoModel, plain, { settings: { weights: "int4", activations: "fp32" }, programVersion: "test" });
    const files = [plain, undisturbed].map((folder) => readManifest(folder).files);

    const different = Object.keys(files[0]!).filter((name) => files[0]![name]!.sha256 !== files[1]![name]!.sha256);

    expect(different).toEqual(["decoder.onnx.data"]);
  });

  test.each([
    ["the first", "1/3 convert", "1/3 convert"],
    ["the second", "2/3 calibrate", "1/3 convert was done earlier"],
    ["the third", "3/3 convert with calibration", "1/3 convert and 2/3 calibrate were done earlier"],
  ])("stopped in %s step goes on from there and ends with the same bytes", async (name, stopAt, resumesWith) => {
    const target = join(root, `stopped in ${name}`);
    const interrupt = (line: string) => void (line === stopAt && setImmediate(() => process.emit("SIGTERM")));

    await expect(calibrate(nano, target, interrupt).done).rejects.toThrow("conversion stopped; run the same command again to resume");
    expect(existsSync(target)).toBe(false);
    const resumed = calibrate(nano, target);
    await resumed.done;

    expect(resumed.lines.find((line) => line.startsWith("1/3"))).toBe(resumesWith);
    expect(manifestOf(target)).toBe(manifestOf(undisturbed));
    expect(readdirSync(root).filter((file) => file.startsWith("."))).toEqual([]);
  });
});

describe("what calibration cannot do is refused before any work", () => {
  test.each([
    ["int8", /^--calibrate works with --weights int4 and int4-all only: int8 weights lose almost nothing to rounding; omit --calibrate$/],
    ["fp32", /^--calibrate works with --weights int4 and int4-all only: fp32 weights are not rounded; omit --calibrate$/],
  ] as const)("%s weights", async (weights, message) => {
    const { done, lines } = calibrate(nano, join(root, weights), undefined, weights);

    await expect(done).rejects.toThrow(message);
    expect(lines).toEqual([]);
  });

  test("a target that holds something else", async () => {
    const { done, lines } = calibrate(nano, root);

    await expect(done).rejects.toThrow(/expected a new or empty folder, got one with other files/);
    expect(lines).toEqual([]);
  });

  test("a chat that is longer than the model's context", async () => {
    const long = join(root, "long.jsonl");
    writeFileSync(long, JSON.stringify({ messages: [{ role: "user", content: "seven ".repeat(20_000) }] }));
    const options = { settings: { weights: "int4" as const, activations: "fp32" as const }, programVersion: "test", overwrite: false };
    const lines: string[] = [];

    const done = convertCalibrated(nano, join(root, "too long"), { ...options, chatFile: long }, (line) => lines.push(line));

    await expect(done).rejects.toThrow(/^.*long\.jsonl, line 1: the prompt is too long: it has .* tokens/);
    expect(lines).toEqual([]);
  });
});

test("a made-up model is calibrated with random tokens", async () => {
  const target = join(root, "synthetic");
  const options = { settings: { weights: "int4" as const, activations: "fp32" as const }, programVersion: "test", overwrite: false };
  const lines: string[] = [];

  await convertCalibrated({ type: "synthetic", name: "nano" }, target, { ...options, chatFile: undefined }, (line) => lines.push(line));

  expect(Number(/on (\d+) tokens/.exec(lines.join())![1])).toBeGreaterThan(8000);
  await verifyFiles(target, readManifest(target));
});

describe("the built-in chats", () => {
  test("are the same at every start, and have pictures, languages, and thinking on and off", async () => {
    const [chats, again] = await Promise.all([builtInChats(), builtInChats()]);

    expect(hashChats(chats)).toBe(hashChats(again));
    expect(chats.length).toBeGreaterThanOrEqual(40);
    const count = (isWanted: (chat: (typeof chats)[number]["chat"]) => boolean) => chats.filter(({ chat }) => isWanted(chat)).length;
    expect(count((chat) => chat.thinking)).toBeGreaterThan(5);
    expect(count(({ messages }) => messages.some(({ content }) => content.some(({ type }) => type === "image")))).toBeGreaterThan(10);
    expect(count(({ messages }) => /\p{Script=Han}/u.test(JSON.stringify(messages.map(({ content }) => content))))).toBeGreaterThan(4);
    expect(count(({ messages }) => messages.at(-1)!.role !== "user")).toBe(0);
  });
});

test("calibrated int4 is nearer to fp32 than int4 that was only searched, on questions it was not calibrated with", async () => {
  const [asked, measured] = [0, 1].map((parity) => evaluationCases.filter((_, i) => i % 20 === parity));
  const settings = { weights: "int4", activations: "fp32" } as const;
  const calibration = join(root, "calibration");
  const chats = asked!.map((item, i) => ({ chat: toChat(item, false), place: `case ${i}` }));
  await recordCalibration(nanoModel, settings, chats, calibration);
  const file = CalibrationFile.open(calibration);
  expect([...file.inputs]).toEqual([1, 2, 3].map((layer) => [`layers.${layer}.experts`, 128]));
  file.close();

  const logitsOf = async (name: string, options: Partial<Parameters<typeof convertCheckpoint>[2]>) => {
    const folder = join(root, name);
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: "test", inspect: true, ...options });
    const model = new LocalModel(folder);
    const prompts = await Promise.all(measured!.map((item) => model.encodeChat(toChat(item, false))));
    model.dispose();
    return allLogits(folder, prompts);
  };
  const exact = await logitsOf("exact", { settings: { weights: "fp32", activations: "fp32" } });
  const searched = await logitsOf("searched", {});
  const calibrated = await logitsOf("calibrated", { calibration });

  const vocabSize = 2048;
  expect(meanDivergence(exact, calibrated, vocabSize)).toBeLessThan(0.95 * meanDivergence(exact, searched, vocabSize));
});

test.skipIf(!hasTinyA)("so it is for a model of random weights, calibrated with random ids", async () => {
  const checkpoint = join(tinyA, "checkpoint-hub");
  const settings = { weights: "int4", activations: "fp32" } as const;
  const calibration = join(root, "tiny-a.calibration");
  await recordCalibration(checkpoint, settings, "random", calibration);
  const prompts = tinyACases.map(({ prompt }) => prompt);

  const logitsOf = async (name: string, options: Partial<Parameters<typeof convertCheckpoint>[2]>) => {
    const folder = join(root, name);
    await convertCheckpoint(checkpoint, folder, { settings, programVersion: "test", inspect: true, ...options });
    return allLogits(folder, prompts);
  };
  const exact = await logitsOf("tiny exact", { settings: { weights: "fp32", activations: "fp32" } });
  const searched = await logitsOf("tiny searched", {});
  const calibrated = await logitsOf("tiny calibrated", { calibration });

  const vocabSize = 512;
  expect(meanDivergence(exact, calibrated, vocabSize)).toBeLessThan(0.95 * meanDivergence(exact, searched, vocabSize));
});
