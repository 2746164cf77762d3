// npm run evaluate: accuracy of the nano model on the committed evaluation set, for each weight format, next to the reference's.
// Scores like test/fixtures/nano/eval/README.md says: the answer after </think>, without regard to case, outer spaces and a final period.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertCheckpoint } from "../../src/convert/convert.ts";
import { weightFormats, type ConversionSettings } from "../../src/core/manifest.ts";
import { findKernelLibrary } from "../../src/runtime/kernel-library.ts";
import { programVersion } from "../../src/version.ts";
import { evaluationCases as cases, isCorrect, nanoModel, toChat } from "./evaluation-set.ts";
import { LocalModel } from "./local-model.ts";

const maxTokens = 160;

const skills = [...new Set(cases.map((item) => item.skill))];
const switches = ["off", "on"] as const;

const columns: { name: string; outputs: Record<(typeof switches)[number], string[]> }[] = [
  { name: "transformers", outputs: { off: cases.map((item) => item.hf_output_off), on: cases.map((item) => item.hf_output_on) } },
];
const choices: ConversionSettings[] = weightFormats.map((weights) => ({ weights, activations: "fp32" }));
if (findKernelLibrary()) choices.push({ weights: "int4", activations: "fp32", experts: "modality-moe" });
for (const settings of choices) {
  const name = settings.experts ? `${settings.weights}, ${settings.experts}` : settings.weights;
  columns.push({ name, outputs: await answerAll(settings) });
}

for (const thinking of switches) {
  console.log(`\nthinking ${thinking}: accuracy in %`);
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
  console.log(`\n${name}: ${equal} of ${2 * cases.length} outputs equal the reference's word for word`);
}

async function answerAll(settings: ConversionSettings): Promise<Record<(typeof switches)[number], string[]>> {
  const work = mkdtempSync(join(tmpdir(), "ernie-vl-evaluate-"));
  const folder = join(work, "model");
  try {
    await convertCheckpoint(nanoModel, folder, { settings, programVersion: programVersion() });
    const model = new LocalModel(folder);
    const answers = async (thinking: boolean) =>
      model.answer(await Promise.all(cases.map((item) => model.encodeChat(toChat(item, thinking)))), maxTokens);
    const outputs = { off: await answers(false), on: await answers(true) };
    model.dispose();
    return outputs;
  } finally {
    rmSync(work, { recursive: true });
  }
}
