// Greedy continuations of all cases through the engine, as a server would compute them.

import { activationDataType } from "../../src/core/manifest.ts";
import { greedy } from "../../src/core/sampling.ts";
import type { Manifest } from "../../src/core/manifest.ts";
import type { EncodedPrompt } from "../../src/core/prompt.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { ErnieModel } from "../../src/model/ernie-model.ts";
import { Runtime } from "../../src/runtime/runtime.ts";

export type ContinuationOptions = {
  /** Prompt tokens computed in one step. */
  readonly prefillChunkTokens: number;
  /** Sequences that run at the same time; 1 = each alone. */
  readonly slotCount: number;
  readonly tokenCount: number;
};

/** For each prompt the ids that follow it. Starts from an empty cache. */
export function continuePrompts(
  folder: string,
  manifest: Manifest,
  prompts: readonly EncodedPrompt[],
  { prefillChunkTokens, slotCount, tokenCount }: ContinuationOptions,
): number[][] {
  const longest = Math.max(...prompts.map((prompt) => prompt.tokenIds.length));
  const model = new ErnieModel(new Runtime(), folder, manifest.config, activationDataType[manifest.settings.activations], {
    device: "cpu",
    threadCount: 0,
    slotCount,
    slotCapacity: longest + tokenCount,
    prefillChunkTokens,
    imageCacheBytes: 1 << 28,
  });
  const engine = new Engine(model, { prefillChunkTokens });
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
