// `ernie-vl doctor`: what this machine has, what would be loaded, and what is wrong with it.

import { existsSync } from "node:fs";
import { freemem, totalmem, cpus, release } from "node:os";
import { resolve } from "node:path";
import { kvBytesPerToken } from "../model/kv-cache.ts";
import { readModelConfig } from "../convert/read-config.ts";
import { activationDataType } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { classifyFolder, readManifest, verifyFiles } from "../model-folder.ts";
import { findOnnxRuntime } from "../runtime/ort-api.ts";
import { Runtime } from "../runtime/runtime.ts";
import { programVersion } from "../version.ts";
import { formatBytes } from "./options.ts";

type Check = { readonly name: string; readonly report: () => string[] | Promise<string[]> };

/** Prints a report; returns false when something would keep the server from starting. */
export async function doctor(modelFolder: string, say: (line: string) => void): Promise<boolean> {
  const checks: Check[] = [
    {
      name: "program",
      report: () => [`ernie-vl ${programVersion()}, Node ${process.version}, ${process.platform}-${process.arch} ${release()}`],
    },
    {
      name: "machine",
      report: () => [
        `${cpus().length} × ${cpus()[0]?.model ?? "?"}`,
        `${formatBytes(freemem())} of ${formatBytes(totalmem())} memory free`,
      ],
    },
    { name: "ONNX Runtime", report: describeRuntime },
    { name: "CUDA", report: describeCuda },
    { name: "model", report: () => describeModel(resolve(modelFolder)) },
  ];
  let isHealthy = true;
  for (const { name, report } of checks) {
    let lines: string[];
    let mark = "ok ";
    try {
      lines = await report();
    } catch (error) {
      lines = [error instanceof Error ? error.message : String(error)];
      mark = "BAD";
      isHealthy = false;
    }
    lines.forEach((line, i) => say(`${i === 0 ? `${mark} ${name.padEnd(13)}` : " ".repeat(17)}${line}`));
  }
  return isHealthy;
}

function describeRuntime(): string[] {
  const runtime = new Runtime(findOnnxRuntime());
  return [`${runtime.api.version}, ${runtime.api.libraryPath}`, runtime.api.buildInfo()];
}

/** No GPU is not an error: the CPU serves as well. */
function describeCuda(): string[] {
  const hasDriver = ["/proc/driver/nvidia/version", "/dev/nvidia0"].some((path) => existsSync(path));
  return hasDriver
    ? ["an NVIDIA driver is loaded; --device cuda has not yet been run on a GPU by this version"]
    : ["no NVIDIA driver found: --device cpu"];
}

async function describeModel(folder: string): Promise<string[]> {
  if (classifyFolder(folder) === "checkpoint") {
    const config = readModelConfig(folder);
    return [`${folder}: a checkpoint, converted on first use`, ...describeSizes(config), describeKv(config, "float32")];
  }
  const manifest = readManifest(folder);
  await verifyFiles(folder, manifest);
  const bytes = Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0);
  const { weights, activations } = manifest.settings;
  return [
    `${folder}: converted from ${manifest.source.name} by ${manifest.createdBy}`,
    `${weights} weights, ${activations} activations, ${formatBytes(bytes)} to load; all checksums match`,
    ...describeSizes(manifest.config),
    describeKv(manifest.config, activationDataType[activations]),
  ];
}

function describeSizes({ text, moe, vision }: ModelConfig): string[] {
  return [
    `${text.layerCount} layers of width ${text.hiddenSize}, ${text.queryHeadCount} heads (${text.kvHeadCount} KV), vocabulary ${text.vocabSize}`,
    `${moe.expertCount} text + ${moe.expertCount} vision experts, ${moe.topK} per token; vision tower of ${vision.layerCount} layers`,
  ];
}

function describeKv({ text }: ModelConfig, dtype: (typeof activationDataType)[keyof typeof activationDataType]): string {
  const perToken = kvBytesPerToken(text, dtype);
  return `KV cache ${formatBytes(perToken)} per token, ${formatBytes(perToken * text.maxPositions)} per sequence of ${text.maxPositions} tokens`;
}
