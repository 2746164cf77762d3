// `ernie-vl doctor`: what this machine has, what a model folder holds and would take, and what is wrong with either.

import { existsSync } from "node:fs";
import { freemem, totalmem, cpus, release } from "node:os";
import { resolve } from "node:path";
import { findKernelLibrary } from "../runtime/kernel-library.ts";
import { findOnnxRuntime } from "../runtime/ort-api.ts";
import { Runtime } from "../runtime/runtime.ts";
import { programVersion } from "../version.ts";
import { find, printFinding, type Finding } from "./finding.ts";
import { reportModel } from "./model-report.ts";
import { formatBytes } from "./options.ts";

/** Prints a report; returns false when something would keep the server from starting. */
export async function doctor(modelFolder: string, say: (line: string) => void): Promise<boolean> {
  const machine = machineFindings();
  for (const finding of machine) printFinding(finding).forEach(say);
  const { findings, sections } = await reportModel(resolve(modelFolder), say);
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

function machineFindings(): Finding[] {
  return [
    {
      mark: "ok",
      name: "program",
      lines: [`ernie-vl ${programVersion()}, Node ${process.version}, ${process.platform}-${process.arch} ${release()}`],
    },
    {
      mark: "ok",
      name: "machine",
      lines: [`${cpus().length} × ${cpus()[0]?.model ?? "?"}, ${formatBytes(freemem())} of ${formatBytes(totalmem())} memory free`],
    },
    find("ONNX Runtime", () => {
      const runtime = new Runtime(findOnnxRuntime());
      return { mark: "ok", lines: [`${runtime.api.version}, ${runtime.api.libraryPath}`, runtime.api.buildInfo()] };
    }),
    find("kernels", describeKernels),
    find("CUDA", describeCuda),
  ];
}

function describeKernels(): Omit<Finding, "name"> {
  const library = findKernelLibrary();
  return library
    ? { mark: "ok", lines: [library] }
    : { mark: "note", lines: ["not built: ONNX Runtime's operator computes the experts; npm run kernels:build makes a much faster one"] };
}

/** No GPU is not an error: the CPU serves as well. */
function describeCuda(): Omit<Finding, "name"> {
  const hasDriver = ["/proc/driver/nvidia/version", "/dev/nvidia0"].some((path) => existsSync(path));
  return hasDriver
    ? { mark: "note", lines: ["an NVIDIA driver is loaded; --device cuda has not yet been run on a GPU by this version"] }
    : { mark: "ok", lines: ["no NVIDIA driver found: --device cpu"] };
}
