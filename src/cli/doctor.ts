// `ernie-vl doctor`: checks this machine and a model folder, and estimates the memory that the model needs.

import { cpus, release } from "node:os";
import { resolve } from "node:path";
import { probeCuda, type CudaProbe } from "../runtime/cuda/probe.ts";
import { cudaTargets, describeTargets, hasCudaCode } from "../runtime/cuda/elf.ts";
import { kernelsBuildCommand } from "../core/package-commands.ts";
import { findKernelLibrary, requireLoadable } from "../runtime/kernel-library.ts";
import { Runtime } from "../runtime/runtime.ts";
import { programVersion } from "../version.ts";
import { allScripts, findHostFonts, fontFolders } from "../vision/host-fonts.ts";
import { limitedAddresses } from "./address-limit.ts";
import { describeDevice } from "./choose-device.ts";
import { find, printFinding, type Finding } from "./finding.ts";
import { instructionSet } from "./instruction-set.ts";
import { reportModel } from "./model-report.ts";

/** Prints a report; returns false if something would keep the server from starting. */
export async function doctor(modelFolder: string, say: (line: string) => void): Promise<boolean> {
  const cuda = probeCuda();
  const machine = machineFindings(cuda);
  for (const finding of machine) printFinding(finding).forEach(say);
  const { findings, sections } = await reportModel(resolve(modelFolder), cuda, say);
  for (const finding of findings) printFinding(finding).forEach(say);
  for (const { title, lines } of sections) {
    say("");
    say(title);
    for (const line of lines) say(`  ${line}`);
  }
  const faults = [...machine, ...findings].filter(({ mark }) => mark === "bad");
  say("");
  say(faults.length === 0 ? "The server can start." : `The server cannot start: see ✗ ${faults.map(({ name }) => name).join(", ")}.`);
  return faults.length === 0;
}

function machineFindings(cuda: CudaProbe): Finding[] {
  return [
    {
      mark: "ok",
      name: "program",
      lines: [`ernie-vl ${programVersion()}, Node ${process.version}, ${process.platform}-${process.arch} ${release()}`],
    },
    {
      mark: "ok",
      name: "machine",
      lines: [cpus()[0]?.model ?? "unknown processor", describeDevice({ kind: "cpu" })],
    },
    ...describeLimits(),
    find("ONNX Runtime", () => {
      const runtime = new Runtime();
      return { mark: "ok", lines: [`${runtime.api.version}, ${runtime.api.libraryPath}`, runtime.api.buildInfo()] };
    }),
    find("kernels", describeKernels),
    find("fonts", describeFonts),
    describeGpu(cuda),
  ];
}

function describeLimits(): Finding[] {
  const advice = limitedAddresses();
  return advice === undefined ? [] : [{ mark: "note", name: "limits", lines: [advice] }];
}

function describeKernels(): Omit<Finding, "name"> {
  const library = findKernelLibrary();
  if (!library) {
    return {
      mark: "note",
      lines: [`not built: ONNX Runtime's operators are used; ${kernelsBuildCommand()} builds much faster ones`],
    };
  }
  requireLoadable(library);
  return { mark: "ok", lines: [library, describeDevices(library), ...describeInstructionSet()] };
}

function describeDevices(library: string): string {
  if (!hasCudaCode(library)) return `CPU kernels only; where nvcc is installed, ${kernelsBuildCommand()} adds CUDA kernels`;
  const targets = describeTargets(cudaTargets(library));
  return `CPU and CUDA kernels${targets ? `, compute capability ${targets}` : ""}`;
}

/** A common reason why one machine is slower than another. */
function describeInstructionSet(): string[] {
  const set = instructionSet();
  if (set === undefined) return [];
  return [set === "none" ? "portable code on this CPU, which is slow: it has neither AVX2 nor NEON dot products" : `${set} on this CPU`];
}

/** PDFs often refer to fonts for these scripts without embedding them. */
function describeFonts(): Omit<Finding, "name"> {
  const fonts = findHostFonts(fontFolders(process.env));
  const missing = allScripts.filter((script) => !fonts.some(({ scripts }) => scripts.includes(script)));
  if (missing.length === 0) return { mark: "ok", lines: ["Chinese, Japanese and Korean, for PDFs that do not embed theirs"] };
  return {
    mark: "note",
    lines: [
      `none for ${missing.join(", ")}: PDFs that do not embed theirs are drawn with gaps`,
      "install a font package, such as fonts-noto-cjk or the smaller fonts-wqy-microhei",
    ],
  };
}

/** A missing GPU is not an error: the server can run on the CPU. */
function describeGpu({ gpu, reason }: CudaProbe): Finding {
  if (!gpu) return { mark: "note", name: "GPU", lines: [`no usable GPU: ${reason}`, "the model runs on the CPU"] };
  return { mark: "ok", name: "GPU", lines: [describeDevice({ kind: "cuda", gpu }), `CUDA provider ${gpu.providerPath}`] };
}
