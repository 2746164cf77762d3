// Reports what a model folder contains, what is missing, and the memory it needs.

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { openCheckpoint, type Checkpoint } from "../convert/checkpoint.ts";
import { cacheFolderFor } from "../convert/conversion-cache.ts";
import { requireDiskSpace } from "../convert/disk-space.ts";
import { hubTensors } from "../convert/hub-tensors.ts";
import { planConversion } from "../convert/plan.ts";
import { workFolderPath } from "../convert/work-folder.ts";
import { checkpointName } from "../core/checkpoint-name.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { activationDataType, type CheckpointLayout, type ConversionSettings, type Manifest } from "../core/manifest.ts";
import type { ModelConfig } from "../core/model-config.ts";
import { shellWord } from "../core/shell-word.ts";
import { kvBytesPerToken } from "../model/kv-cache.ts";
import type { CudaProbe } from "../runtime/cuda/probe.ts";
import { classifyFolder, readManifest, verifyFiles } from "../model-folder.ts";
import { converterFingerprint } from "../version.ts";
import { companionFindings } from "./companion-findings.ts";
import { canCompute } from "./choose-device.ts";
import { bad, find, type Finding } from "./finding.ts";
import { describeMemory, type PlannedModel } from "./memory-plan.ts";
import { defaultMemoryWishes } from "./memory-wishes.ts";
import { activeParameters, capacityTable, dataBytes, memoryTable, parametersByPart, totalOf } from "./memory-report.ts";
import { planStart, type StartPlan, type StartWishes } from "./plan-start.ts";
import { chooseSettings, openCache, requireKernels } from "./prepare-model.ts";
import { formatCount } from "./table.ts";
import { workspaceBytes } from "./workspace.ts";

export type ModelReport = {
  readonly findings: readonly Finding[];
  /** Titled blocks of aligned lines; none if the folder is not a model. */
  readonly sections: readonly { readonly title: string; readonly lines: readonly string[] }[];
};

const shownFaults = 3;
/** Reading more than this takes seconds. */
const slowBytes = 2 ** 30;

/** Checks all files that the server would read. For a converted model it also verifies checksums, and announces it if that takes a while. */
export async function reportModel(folder: string, cuda: CudaProbe, say: (line: string) => void): Promise<ModelReport> {
  let kind = "model";
  try {
    kind = classifyFolder(folder);
    return kind === "checkpoint" ? reportCheckpoint(folder, cuda) : await reportConverted(folder, cuda, say);
  } catch (error) {
    return { findings: [bad(kind, error), ...(kind === "model" ? [] : companionFindings(folder))], sections: [] };
  }
}

function reportCheckpoint(folder: string, cuda: CudaProbe): ModelReport {
  const checkpoint = openCheckpoint(folder);
  try {
    const { config, layout, notes } = checkpoint;
    const choices = (activations: "fp32" | "bf16") =>
      (["int4", "int8", "fp32"] as const).map((weights) => chooseSettings(weights, activations, "auto"));
    const findings: Finding[] = [
      { mark: "ok", name: "checkpoint", lines: [folder, ...identify(checkpointName(folder), layout, config)] },
      weightsFinding(checkpoint),
      ...notes.map((note): Finding => ({ mark: "note", name: "weights", lines: [note] })),
      ...companionFindings(folder),
      ...startFindings(folder, cuda, cacheFinding),
    ];
    return { findings, sections: sections(config, choices("fp32"), choices("bf16")) };
  } finally {
    checkpoint.close();
  }
}

async function reportConverted(folder: string, cuda: CudaProbe, say: (line: string) => void): Promise<ModelReport> {
  const manifest = readManifest(folder);
  if (dataBytes(manifest) > slowBytes) say(`   verifying checksums of ${formatBytes(dataBytes(manifest))} …`);
  await verifyFiles(folder, manifest);
  const { config, settings, source } = manifest;
  const lines = [
    folder,
    ...identify(source.name, source.layout, config),
    `converted from ${source.name} by ernie-vl ${manifest.createdBy}: ${settings.weights} weights, ${settings.activations} activations`,
    `${formatBytes(dataBytes(manifest))} of weights, checksums verified`,
  ];
  const findings: Finding[] = [
    { mark: "ok", name: "converted", lines },
    ...randomFindings(manifest),
    ...layoutFindings(manifest),
    ...faultOf(() => requireKernels(folder, settings)).map((line): Finding => ({ mark: "bad", name: "experts", lines: [line] })),
    ...companionFindings(folder),
    ...startFindings(folder, cuda),
  ];
  return { findings, sections: sections(config, [settings], [settings]) };
}

/** Only a synthetic model comes from no files. */
function randomFindings({ source }: Manifest): Finding[] {
  if (Object.keys(source.files).length > 0) return [];
  return [{ mark: "note", name: "weights", lines: ["random, for benchmarks only: the answers are meaningless"] }];
}

/** Sizes by part are computed from the plan, so they are exact only for conversions by this version. */
function layoutFindings(manifest: Manifest): Finding[] {
  const { config, settings } = manifest;
  const planned = planConversion({ config, settings, inspect: false }).dataFiles.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (planned === dataBytes(manifest)) return [];
  const line = `converted by another version; the sizes by part below are what this version would write, ${formatBytes(planned)} in total`;
  return [{ mark: "note", name: "weights", lines: [line] }];
}

/** What the model is, in three lines. */
function identify(name: string, layout: CheckpointLayout, config: ModelConfig): string[] {
  const { text, moe, vision } = config;
  const variant = /thinking/i.test(name) ? " Thinking" : /-PT$/i.test(name) ? " PT" : "";
  const parameters = formatCount(totalOf(parametersByPart(config)));
  const active = formatCount(activeParameters(config));
  return [
    `ERNIE-4.5-VL${variant}: ${parameters} parameters, ${active} active per text token; ${{ hub: "Baidu's", native: "transformers'" }[layout]} layout`,
    `${text.layerCount} layers of width ${text.hiddenSize}, ${text.queryHeadCount} heads (${text.kvHeadCount} KV), ` +
      `vocabulary ${text.vocabSize}, ${text.maxPositions} positions`,
    `${moe.expertCount} text + ${moe.expertCount} vision experts, ${moe.topK} per token; vision tower of ${vision.layerCount} layers`,
  ];
}

/** Whether the files hold exactly the tensors that config.json implies. */
function weightsFinding(checkpoint: Checkpoint): Finding {
  const tensors = hubTensors(checkpoint.config);
  const faults = tensors.flatMap(({ name, shape }) => faultOf(() => checkpoint.readRange(name, shape, 0, 0)));
  if (faults.length === 0) faults.push(...faultOf(() => checkpoint.finish()));
  if (faults.length > 0) {
    const more = faults.length > shownFaults ? [`and ${faults.length - shownFaults} more tensors`] : [];
    return { mark: "bad", name: "weights", lines: [...faults.slice(0, shownFaults), ...more] };
  }
  const stored = Object.entries(checkpoint.manifest({ weights: "fp32", activations: "fp32" }, "").source.files).filter(([name]) =>
    name.endsWith(".safetensors"),
  );
  const bytes = stored.reduce((sum, [, file]) => sum + file.bytes, 0);
  return {
    mark: "ok",
    name: "weights",
    lines: [`${tensors.length} tensors in ${stored.length} ${stored.length === 1 ? "file" : "files"}, ${formatBytes(bytes)}`],
  };
}

function faultOf(look: () => unknown): string[] {
  try {
    look();
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

/** What `serve` would plan on this machine now. `further` looks at the model that it would load. */
function startFindings(folder: string, cuda: CudaProbe, further?: (folder: string, model: PlannedModel) => Finding): Finding[] {
  const wishes: StartWishes = { ...defaultMemoryWishes, device: "auto", weights: undefined, activations: undefined, experts: "auto" };
  const notes: string[] = [];
  let plan: StartPlan;
  try {
    plan = planStart(
      folder,
      wishes,
      (line) => notes.push(line),
      () => cuda,
    );
  } catch (error) {
    return [bad("memory", error)];
  }
  const { device, model, memory } = plan;
  const { weights, context, memory: sum, advice } = describeMemory(memory, model);
  const first = `on the ${device.kind === "cpu" ? "CPU" : "GPU"}, ${model.settings.weights} weights: ${weights}`;
  const lines = [...(cuda.gpu ? notes : []), first, context, sum, ...(advice === undefined ? [] : [advice])];
  return [{ mark: advice === undefined ? "ok" : "note", name: "memory", lines }, ...(further ? [further(folder, model)] : [])];
}

/** Where the conversion of a checkpoint is, and whether the next start could make it if there is none. */
function cacheFinding(checkpoint: string, { config, settings }: PlannedModel): Finding {
  return find("conversion", () => {
    const folder = cacheFolderFor(checkpoint, settings, converterFingerprint());
    if (existsSync(folder)) return { mark: "ok", lines: [`${folder} (to verify it: ernie-vl doctor ${shellWord(folder)})`] };
    openCache(dirname(folder));
    if (existsSync(workFolderPath(folder))) return { mark: "ok", lines: [`begun: the next start resumes it, in ${folder}`] };
    const { dataFiles } = planConversion({ config, settings, inspect: false });
    const neededBytes = dataFiles.reduce((sum, { byteLength }) => sum + byteLength, 0);
    requireDiskSpace(dirname(folder), neededBytes);
    return { mark: "ok", lines: [`the next start writes ${formatBytes(neededBytes)} to ${folder}`] };
  });
}

function sections(config: ModelConfig, cpu: readonly ConversionSettings[], gpu: readonly ConversionSettings[]): ModelReport["sections"] {
  const formats = [...new Map([...cpu, ...gpu].map((settings) => [settings.activations, settings])).values()];
  const each = (bytes: (settings: ConversionSettings) => number) =>
    formats.map((settings) => `${formatBytes(bytes(settings))} in ${settings.activations}`).join(", ");
  const perToken = each(({ activations }) => kvBytesPerToken(config.text, activationDataType[activations]));
  const perTokenInt8 = formatBytes(kvBytesPerToken(config.text, "int8"));
  const onGpu = gpu.filter(({ activations }) => canCompute("cuda", activations)); // a model that is converted for a CPU runs on none
  return [
    { title: `Weights in memory (${cpu[0]!.activations} activations)`, lines: memoryTable(config, cpu) },
    {
      title: "In addition to the weights",
      lines: [
        `KV cache   ${perToken}, ${perTokenInt8} in int8 per token`,
        `workspace  about ${each((settings) => workspaceBytes(config, settings))}, for the largest picture, steps and sampling`,
      ],
    },
    ...onGpu.slice(0, 1).map(({ activations }) => ({
      title: `Sequences that fit on one GPU (${activations} activations and KV cache) with --gpu-memory-utilization ${defaultMemoryWishes.gpuMemoryUtilization}`,
      lines: capacityTable(config, onGpu),
    })),
  ];
}
