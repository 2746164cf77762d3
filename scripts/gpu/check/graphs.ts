// Whether a decode step replayed from a CUDA graph computes what the same step computes kernel by kernel.

import { evaluationCases, nanoModel, toChat } from "../../evaluate/evaluation-set.ts";
import { LocalModel } from "../../evaluate/local-model.ts";
import type { JobContext } from "../job.ts";
import { prepareIn } from "../prepared-model.ts";
import { halfFormats, quantized, type Operator } from "./settings.ts";

const caseCount = 24;
const maxTokens = 64;

/** All sequences at once, so that batches of every size up to the number of slots occur. On a CPU there are no graphs: the same thing twice. */
export async function checkGraphs(context: JobContext, operator: Operator): Promise<void> {
  const { device, work, say, record, fail } = context;
  const stride = Math.floor(evaluationCases.length / caseCount);
  const chats = Array.from({ length: caseCount }, (_, i) => toChat(evaluationCases[i * stride]!, true));
  for (const activations of halfFormats(device)) {
    const { folder } = await prepareIn(work, "nano", { type: "checkpoint", folder: nanoModel }, quantized(operator, activations));
    const answersWith = async (cudaGraphs: boolean): Promise<string[]> => {
      const model = new LocalModel(folder, device, undefined, cudaGraphs);
      const answers = model.answer(await Promise.all(chats.map((chat) => model.encodeChat(chat))), maxTokens);
      model.dispose();
      return answers;
    };
    const eager = await answersWith(false);
    const replayed = await answersWith(true);
    const equal = replayed.filter((answer, i) => answer === eager[i]).length;
    record(activations, { cases: caseCount, equal });
    say(`${activations}: ${equal} of ${caseCount} sequences equal, replayed and eager`);
    if (equal < caseCount) fail(`${activations}: ${caseCount - equal} of ${caseCount} sequences differ between graphs and eager steps`);
  }
}
