// Runs a converted model in this thread: prompts in, raw greedy outputs out. For evaluation and tests; the server uses worker threads.

import { readFileSync } from "node:fs";
import { loadTokenizer, type Tokenizer } from "../../src/chat/tokenizer.ts";
import { createPromptEncoder } from "../../src/cli/prompt-encoder.ts";
import type { Chat } from "../../src/core/chat.ts";
import { activationDataType, type Manifest } from "../../src/core/manifest.ts";
import { spanLength, type EncodedPrompt, type ImagePatches } from "../../src/core/prompt.ts";
import { greedy } from "../../src/core/sampling.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { SequenceId } from "../../src/engine/engine-protocol.ts";
import { ErnieModel, type ErnieModelOptions } from "../../src/model/ernie-model.ts";
import { readManifest } from "../../src/model-folder.ts";
import type { DeviceKind } from "../../src/runtime/device.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { assignPositions, type PromptRun } from "../../src/vision/positions.ts";
import { loadVisual } from "../parity/load-visual.ts";

export const slotCount = 8;
export const slotCapacity = 2048;

export type LocalModelOptions = Pick<ErnieModelOptions, "kvScales" | "kvPages" | "cudaGraphs">;

export class LocalModel {
  readonly manifest: Manifest;
  readonly #tokenizer: Tokenizer;
  readonly #encodeChat: (chat: Chat) => Promise<EncodedPrompt>;
  readonly #model: ErnieModel;
  readonly #engine: Engine;
  #submitted = 0;

  /**
   * With `kvScales` the KV cache is int8; with `kvPages` its slots share memory. `cudaGraphs: false` runs decode steps kernel by kernel.
   */
  constructor(folder: string, device: DeviceKind = "cpu", { kvScales, kvPages, cudaGraphs = true }: LocalModelOptions = {}) {
    this.manifest = readManifest(folder);
    this.#tokenizer = loadTokenizer(folder);
    this.#encodeChat = createPromptEncoder(folder, this.manifest.config, slotCapacity);
    const { config, settings } = this.manifest;
    this.#model = new ErnieModel(Runtime.open(device), folder, config, activationDataType[settings.activations], {
      threadCount: 0,
      slotCount,
      slotCapacity,
      kvScales,
      kvPages,
      prefillChunkTokens: 512,
      imageCacheBytes: 1 << 28,
      cudaGraphs,
    });
    this.#engine = new Engine(this.#model, { prefillChunkTokens: 512, prefillTargetMs: Infinity, maxWaiting: 1 << 20 });
  }

  encodeChat(chat: Chat): Promise<EncodedPrompt> {
    return this.#encodeChat(chat);
  }

  /**
   * A prompt that a template rendered elsewhere. `visuals`: for each picture or video placeholder in order, the files of its frames.
   */
  async encodeRendered(text: string, visuals: readonly (readonly string[])[]): Promise<EncodedPrompt> {
    const { image, video, ...delimiters } = this.manifest.config.tokens;
    const waiting = visuals.map((files) =>
      loadVisual(
        files.map((file) => readFileSync(file)),
        this.manifest.config.image,
        files[0]!,
      ),
    );
    const pictures: ImagePatches[] = await Promise.all(waiting);
    const tokenIds: number[] = [];
    const runs: PromptRun[] = [];
    const spans: EncodedPrompt["spans"][number][] = [];
    for (const id of this.#tokenizer.encodeTemplate(text)) {
      const picture = id === image || id === video ? pictures[spans.length] : undefined;
      if (!picture) {
        tokenIds.push(id);
        runs.push({ type: "text", length: 1 });
        continue;
      }
      const { frameCount, patchRows, patchColumns } = picture;
      spans.push({ start: tokenIds.length, length: spanLength(picture), image: picture });
      tokenIds.push(...Array<number>(spanLength(picture)).fill(id));
      runs.push({ type: "vision", frameCount, patchRows, patchColumns });
    }
    const { imageStart, imageEnd, videoStart, videoEnd } = delimiters;
    const visionIds = new Set([image, video, imageStart, imageEnd, videoStart, videoEnd]);
    const visionExpert = Uint8Array.from(tokenIds, (id) => (visionIds.has(id) ? 1 : 0));
    return { tokenIds: Int32Array.from(tokenIds), ...assignPositions(runs), visionExpert, spans };
  }

  /** Greedy outputs with control tokens shown and the end token left out, as the reference records them. */
  answer(prompts: readonly EncodedPrompt[], maxTokens: number): string[] {
    const first = this.#submitted;
    const { eos } = this.manifest.config.tokens;
    const outputs: number[][] = prompts.map(() => []);
    for (const prompt of prompts) {
      const id = this.#submitted++ as SequenceId;
      this.#engine.submit(id, { prompt, sampling: greedy, maxTokens, stopTokenIds: eos });
    }
    while (this.#engine.hasWork()) {
      for (const [id, event] of this.#engine.step()) {
        if (event.type === "token" && !eos.includes(event.tokenId)) outputs[id - first]!.push(event.tokenId);
        if (event.type === "failed") throw new Error(event.message);
      }
    }
    return outputs.map((ids) => Buffer.concat(ids.map((id) => this.#tokenizer.tokenBytes(id))).toString("utf8"));
  }

  dispose(): void {
    this.#model.dispose();
  }
}
