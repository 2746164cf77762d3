// npm run evaluate: accuracy of the nano model on the committed evaluation set, for the reference and each weight format.
// Scored as in test/fixtures/nano/eval/README.md: the answer after </think>, ignoring case, outer spaces and a final period.

import { join } from "node:path";
import { Command, Option } from "commander";
import { nanoModel } from "../../src/core/nano-model.ts";
import { builtInChats } from "../../src/cli/calibration/built-in-chats.ts";
import type { CalibrationPrompts } from "../../src/cli/calibration/encode-prompts.ts";
import { encodeChats } from "../../src/cli/kv-scales.ts";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import type { ConversionSettings } from "../../src/core/manifest.ts";
import type { KvScales } from "../../src/model/kv-cache.ts";
import { measureKvScales } from "../../src/model/kv-scales.ts";
import { readManifest } from "../../src/model-folder.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { programVersion } from "../../src/version.ts";
import { evaluationCases as cases, isCorrect, toChat } from "./evaluation-set.ts";
import { LocalModel } from "./local-model.ts";
import { inTemporaryFolder } from "../temporary-folder.ts";
import { recordCalibration } from "./record-calibration.ts";

const maxTokens = 160;
const flags = new Command("evaluate")
  .description("Nano's accuracy on its evaluation set, for the reference and each weight format.")
  .addOption(new Option("--kv-cache-dtype <type>").choices(["auto", "int8"]).default("auto"))
  .parse()
  .opts<{ kvCacheDtype: "auto" | "int8" }>();
const hasInt8Cache = flags.kvCacheDtype === "int8";

const skills = [...new Set(cases.map((item) => item.skill))];
const switches = ["off", "on"] as const;

const columns: { name: string; outputs: Record<(typeof switches)[number], string[]> }[] = [
  { name: "transformers", outputs: { off: cases.map((item) => item.hf_output_off), on: cases.map((item) => item.hf_output_on) } },
];
const choices: ConversionSettings[] = (["fp32", "int8", "int4"] as const).map((weights) => ({ weights, activations: "fp32" }));
if (findKernelLibrary()) {
  for (const weights of ["int4", "int4-all"] as const) choices.push({ weights, activations: "fp32", experts: "modality-moe" });
}
for (const settings of choices) {
  const name = `${settings.weights}${settings.experts ? `, ${settings.experts}` : ""}${hasInt8Cache ? ", int8 cache" : ""}`;
  columns.push({ name, outputs: await answerAll(settings) });
  if (settings.weights.startsWith("int4"))
    columns.push({ name: `${name}, calibrated`, outputs: await answerAll(settings, await builtInChats()) });
}

for (const thinking of switches) {
  console.log(`\naccuracy in %, thinking ${thinking}`);
  console.log(`| skill | cases | ${columns.map(({ name }) => name).join(" | ")} |\n|---|---|${"---|".repeat(columns.length)}`);
  for (const skill of [...skills, "all"]) {
    const chosen = cases.flatMap((item, i) => (skill === "all" || item.skill === skill ? [i] : []));
    const accuracies = columns.map(({ outputs }) => {
      const correct = chosen.filter((i) => isCorrect(outputs[thinking][i]!, cases[i]!.expected)).length;
      return ((100 * correct) / chosen.length).toFixed(1);
    });
    console.log(`| ${skill} | ${chosen.length} | ${accuracies.join(" | ")} |`);
  }
}
const reference = columns[0]!.outputs;
for (const { name, outputs } of columns.slice(1)) {
  const equal = switches.reduce((sum, thinking) => sum + outputs[thinking].filter((text, i) => text === reference[thinking][i]).length, 0);
  console.log(`\n${name}: ${equal} of ${2 * cases.length} outputs are identical to the reference's`);
}

async function answerAll(settings: ConversionSettings, chats?: CalibrationPrompts): Promise<Record<(typeof switches)[number], string[]>> {
  return inTemporaryFolder(async (work) => {
    const [folder, calibration] = [join(work, "model"), join(work, "calibration")];
    if (chats) await recordCalibration(nanoModel, settings, chats, calibration);
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: programVersion(), ...(chats && { calibration }) });
    const model = new LocalModel(folder, "cpu", { kvScales: hasInt8Cache ? await measureScales(folder) : undefined });
    const answers = async (thinking: boolean) =>
      model.answer(await Promise.all(cases.map((item) => model.encodeChat(toChat(item, thinking)))), maxTokens);
    const outputs = { off: await answers(false), on: await answers(true) };
    model.dispose();
    return outputs;
  });
}

/** Measures the scales as the server does at its first start. */
async function measureScales(folder: string): Promise<KvScales> {
  const manifest = readManifest(folder);
  const prompts = await encodeChats(folder, manifest);
  return measureKvScales(Runtime.open("cpu"), folder, manifest.config, "float32", { prompts, threadCount: 0 });
}
