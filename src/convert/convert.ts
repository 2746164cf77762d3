// Checkpoint folder → converted model folder: three graphs, their weights, and the files that text and pictures need.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { graphFiles } from "../core/graph-io.ts";
import type { ConversionSettings } from "../core/manifest.ts";
import { buildDecoder } from "./blocks/decoder.ts";
import { buildSampler } from "./blocks/sampler.ts";
import { buildVision } from "./blocks/vision.ts";
import { Weights, type Build } from "./blocks/weights.ts";
import { openCheckpoint } from "./checkpoint.ts";
import type { Graph } from "./onnx/graph.ts";
import { encodeModel, externalDataBytes, writeExternalData } from "./onnx/model-file.ts";
import { OutputFolder } from "./output-folder.ts";

/** Copied when the checkpoint has them: what tokenizer, template and sampling defaults are read from. */
const companionFiles = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
  "generation_config.json",
  "preprocessor_config.json",
];

export type ConvertOptions = {
  readonly settings: ConversionSettings;
  /** Version of this program, for the manifest. */
  readonly programVersion: string;
  /** Build the graphs with the outputs that the parity check compares. */
  readonly inspect?: boolean;
  /** Replace an earlier conversion in the target folder. */
  readonly overwrite?: boolean;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Aborting leaves nothing behind. */
  readonly signal?: AbortSignal;
};

/**
 * Converts and returns what the operator should know. Everything is written to a temporary folder beside `target` that takes its
 * place at the end. Same checkpoint and settings give the same bytes.
 */
export async function convertCheckpoint(checkpointFolder: string, target: string, options: ConvertOptions): Promise<readonly string[]> {
  const checkpoint = openCheckpoint(checkpointFolder);
  try {
    const output = OutputFolder.create(target, { overwrite: options.overwrite ?? false });
    try {
      const weights = new Weights(checkpoint, options.settings.weights, options.settings.activations);
      await writeGraphs(output, { config: checkpoint.config, weights, inspect: options.inspect ?? false }, options);
      checkpoint.finish();
      for (const file of companionFiles) {
        if (existsSync(join(checkpointFolder, file))) output.copyFile(file, join(checkpointFolder, file));
      }
      output.commit(checkpoint.manifest(options.settings, options.programVersion));
      return checkpoint.notes;
    } catch (error) {
      output.discard();
      throw error;
    }
  } finally {
    checkpoint.close();
  }
}

async function writeGraphs(output: OutputFolder, build: Build, { onProgress, signal }: ConvertOptions): Promise<void> {
  const graphs: readonly [string, Graph][] = [
    [graphFiles.decoder, buildDecoder(build)],
    [graphFiles.vision, buildVision(build)],
    [graphFiles.sampler, buildSampler(build.config.text.vocabSize)],
  ];
  const totalBytes = graphs.reduce((sum, [, graph]) => sum + externalDataBytes(graph), 0);
  let doneBytes = 0;
  for (const [file, graph] of graphs) {
    const dataFile = `${file}.data`;
    output.addFile(file, encodeModel(graph, dataFile, file));
    const graphBytes = externalDataBytes(graph);
    if (graphBytes === 0) continue;
    const data = output.createFile(dataFile);
    await writeExternalData(graph, data.write, { onProgress: (written) => onProgress?.(doneBytes + written, totalBytes), signal });
    data.close();
    doneBytes += graphBytes;
  }
}
