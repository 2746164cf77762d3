// Turns the --model argument into a converted model folder: converts a checkpoint once, into a cache, with a progress bar.

import { accessSync, constants, existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { cacheFolderFor } from "../convert/conversion-cache.ts";
import { convert, type ConvertOptions } from "../convert/convert.ts";
import type { Source } from "../convert/source.ts";
import { InterruptedError, UserError } from "../core/errors.ts";
import { makeFolders, systemReason } from "../core/file-system.ts";
import { formatBytes } from "../core/format-bytes.ts";
import type { ActivationFormat, ConversionSettings, ExpertChoice, Manifest, WeightFormat } from "../core/manifest.ts";
import { kernelsBuildCommand } from "../core/package-commands.ts";
import { classifyFolder, readManifest, verifyFiles } from "../model-folder.ts";
import { cudaTargets, describeTargets, hasCudaCode, runsOn } from "../runtime/cuda/elf.ts";
import type { CudaGpu } from "../runtime/cuda/probe.ts";
import { findKernelLibrary } from "../runtime/kernel-library.ts";
import { converterFingerprint, programVersion } from "../version.ts";
import { checkCompanions } from "./check-companions.ts";
import { WorkProgress } from "./work-progress.ts";

/** Settings from the command line, with "auto" decided. Only a GPU computes bf16. */
export function chooseSettings(
  weights: WeightFormat,
  activations: ActivationFormat,
  experts: ExpertChoice,
  device: "cpu" | "cuda" = activations === "bf16" ? "cuda" : "cpu",
): ConversionSettings {
  const library = findKernelLibrary();
  if (experts === "modality-moe" && !library) {
    throw new UserError(
      `--experts modality-moe needs the kernel library; build it with ${kernelsBuildCommand()}, or use --experts onnxruntime`,
    );
  }
  if (experts === "modality-moe" && weights === "fp32") {
    throw new UserError("--experts modality-moe supports quantized weights only; use --weights int4 or int8, or --experts onnxruntime");
  }
  const isComputable = library !== undefined && weights !== "fp32" && (device === "cpu" || hasCudaCode(library));
  const isOwn = experts === "modality-moe" || (experts === "auto" && isComputable);
  return { weights, activations, ...(isOwn && { experts: "modality-moe" }) };
}

/** Throws UserError if the model needs our own operator on the GPU and the library has no kernel for this GPU. */
export function requireCudaKernels({ experts }: ConversionSettings, { name, computeCapability }: CudaGpu): void {
  const library = findKernelLibrary();
  if (experts !== "modality-moe" || !library) return;
  if (!hasCudaCode(library)) {
    throw new UserError(
      `the ModalityMoe kernel was built without CUDA; run ${kernelsBuildCommand()} where nvcc is installed, or convert with --experts onnxruntime`,
    );
  }
  const targets = cudaTargets(library);
  const gpu = Math.round(10 * Number(computeCapability));
  if (targets.length === 0 || targets.some((target) => runsOn(target, gpu))) return;
  throw new UserError(
    `the ModalityMoe kernel was built for GPUs of compute capability ${describeTargets(targets)}, but ${name} has ${computeCapability}; ` +
      `run CUDA_ARCHITECTURES=${gpu} ${kernelsBuildCommand()} where nvcc is installed, or convert with --experts onnxruntime`,
  );
}

export type PreparedModel = { readonly folder: string; readonly manifest: Manifest };

/** Converts `folder` if it is a checkpoint that has not been converted with these settings yet. */
export async function prepareModel(folder: string, settings: ConversionSettings, say: (line: string) => void): Promise<PreparedModel> {
  const path = resolve(folder);
  if (classifyFolder(path) === "converted") {
    const manifest = readManifest(path);
    requireKernels(path, manifest.settings);
    return { folder: path, manifest };
  }
  const cached = cacheFolderFor(path, settings, converterFingerprint());
  const known = await readCached(cached, say);
  if (known) return { folder: cached, manifest: known };
  openCache(dirname(cached));
  await convertWithProgress(
    { type: "checkpoint", folder: path },
    cached,
    { settings, programVersion: programVersion(), overwrite: "anything" },
    say,
  );
  return { folder: cached, manifest: readManifest(cached) };
}

/** Throws UserError when the model was converted for our own operator and that is not there. */
export function requireKernels(folder: string, { experts }: ConversionSettings): void {
  if (experts !== "modality-moe" || findKernelLibrary()) return;
  throw new UserError(
    `${folder} was converted for the ModalityMoe kernel, which is not built here; run ${kernelsBuildCommand()}, or convert again with --experts onnxruntime`,
  );
}

/** Throws UserError if nothing can be written there: service users often have no home folder. */
export function openCache(root: string): void {
  try {
    makeFolders(root);
    accessSync(root, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UserError(`cannot cache conversions in ${root}: ${systemReason(error)}; set ERNIE_VL_CACHE to another folder`, {
      cause: error,
    });
  }
}

/** Undefined if there is no usable conversion; a damaged one is replaced. Weights are too large to be verified at each start. */
async function readCached(folder: string, say: (line: string) => void): Promise<Manifest | undefined> {
  if (!existsSync(folder)) return undefined;
  try {
    const manifest = readManifest(folder);
    await verifyFiles(folder, manifest, "all but weights");
    return manifest;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`The cached conversion is damaged, converting again (${error.message})`);
    return undefined;
  }
}

type ShownOptions = Omit<ConvertOptions, "converterVersion" | "onProgress" | "onWait" | "signal">;

/** Converts with a progress display. After Ctrl-C, the same command resumes. */
export function convertWithProgress(source: Source, target: string, options: ShownOptions, say: (line: string) => void): Promise<void> {
  return untilInterrupted((signal) => convertShown(source, target, { ...options, signal }, say));
}

/** Runs `work` with a signal that Ctrl-C, SIGTERM and SIGHUP abort, so that it can keep partial results. */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const stop = () => abort.abort(new InterruptedError("conversion stopped; run the same command again to resume"));
  process.once("SIGINT", stop).once("SIGTERM", stop).once("SIGHUP", stop);
  try {
    await work(abort.signal);
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop).off("SIGHUP", stop);
  }
}

/** Throws the signal's reason when it is aborted. */
export async function convertShown(
  source: Source,
  target: string,
  options: ShownOptions & { readonly signal: AbortSignal },
  say: (line: string) => void,
): Promise<void> {
  refuseConverted(source);
  if (source.type === "checkpoint") checkCompanions(source.folder);
  const { weights, activations } = options.settings;
  const name = source.type === "checkpoint" ? source.folder : `synthetic ${source.name}`;
  say(`Converting ${name} (${weights} weights, ${activations} activations) to ${target}`);
  const progress = new WorkProgress(say);
  const started = performance.now();
  try {
    const notes = await convert(source, target, {
      ...options,
      converterVersion: converterFingerprint(),
      onProgress: progress.update,
      onWait: (holder) => say(`  ${holder} is converting to the same folder; waiting for it (Ctrl-C to stop)`),
    });
    progress.stop();
    for (const note of notes) say(`  note: ${note}`);
    if (progress.total === 0) return say("The other process has finished this conversion");
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    say(`Converted in ${seconds} s, ${formatBytes(progress.total)} of weights`);
  } finally {
    progress.stop();
  }
}

/** Throws a UserError if the folder is already a converted model. */
export function refuseConverted(source: Source): void {
  if (source.type === "synthetic" || classifyFolder(source.folder) === "checkpoint") return;
  throw new UserError(`${source.folder} is already converted; use the Hugging Face checkpoint it was made from`);
}
