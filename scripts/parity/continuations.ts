// Greedy continuations of all cases through the engine, as a server would compute them.

import { greedy } from "../../src/core/sampling.ts";
import { activationDataType, type Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { ErnieModel } from "../../src/model/ernie-model.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import type { Finding } from "./compare.ts";
import type { ReferenceFolder } from "./reference-case.ts";

/** Greedy continuations, prompts computed whole and in chunks, one by one and all at once. */
export function compareContinuations(folder: string, manifest: Manifest, { cases }: ReferenceFolder): Finding[] {
  const expected = cases.map((item) => Array.from(item.tensors.get("greedy.ids")!.data as Int32Array));
  const tokenCount = Math.max(...expected.map((ids) => ids.length));
  const prompts = cases.map((item) => item.prompt);
  const whole = Math.max(...prompts.map((prompt) => prompt.tokenIds.length));
  const ways = [
    ...[whole, 1, 7, 64].map((prefillChunkTokens) => ({ prefillChunkTokens, slotCount: 1 })),
    { prefillChunkTokens: 64, slotCount: cases.length },
  ];
  // Quantized weights give other answers than the reference, so the first way of computing is the standard. Kernels for one token also round
  // differently from those for many: near ties, which random weights have, may fall either way, and the answers then differ. `compareChunks`
  // is the sharper test there.
  const isExact = manifest.settings.weights === "fp32";
  const limit = isExact ? 0 : Math.floor((cases.length * tokenCount) / 4);
  let standard = isExact ? expected : undefined;
  return ways.map(({ prefillChunkTokens, slotCount }) => {
    const answers = continuePrompts(folder, manifest, prompts, { prefillChunkTokens, slotCount, tokenCount });
    standard ??= answers;
    const differing = answers.reduce((sum, ids, i) => sum + standard![i]!.filter((id, k) => id !== ids[k]).length, 0);
    const chunk = prefillChunkTokens === whole ? "whole prompt" : `chunks of ${prefillChunkTokens}`;
    const stage = `greedy, ${chunk}${slotCount > 1 ? `, ${slotCount} at once` : ""}`;
    return { stage, measure: "ids that differ", measured: differing, limit, passed: differing <= limit };
  });
}

type ContinuationOptions = {
  /** Prompt tokens computed in one step. */
  readonly prefillChunkTokens: number;
  /** Sequences that run at the same time; 1 = each alone. */
  readonly slotCount: number;
  readonly tokenCount: number;
};

/** For each prompt the ids that follow it. Starts from an empty cache. */
function continuePrompts(
  folder: string,
  manifest: Manifest,
  prompts: readonly EncodedPrompt[],
  { prefillChunkTokens, slotCount, tokenCount }: ContinuationOptions,
): number[][] {
  const longest = Math.max(...prompts.map((prompt) => prompt.tokenIds.length));
  const model = new ErnieModel(new Runtime(), folder, manifest.config, activationDataType[manifest.settings.activations], {
    threadCount: 0,
    slotCount,
    slotCapacity: longest + tokenCount,
    prefillChunkTokens,
    imageCacheBytes: 1 << 28,
  });
  const engine = new Engine(model, { prefillChunkTokens, prefillTargetMs: Infinity });
  const answers: number[][] = prompts.map(() => []);
  prompts.forEach((prompt, i) => engine.submit(i as SequenceId, { prompt, sampling: greedy, maxTokens: tokenCount, stopTokenIds: [] }));
  while (engine.hasWork()) {
    for (const [id, event] of engine.step()) {
      if (event.type === "token") answers[id]!.push(event.tokenId);
      if (event.type === "failed") throw new Error(`prompt ${id} failed: ${event.message}`);
    }
  }
  model.dispose();
  return answers;
}
