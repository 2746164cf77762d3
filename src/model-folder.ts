// A converted model folder as the server finds it: its manifest, and whether its files are the ones that were written.

import { createHash } from "node:crypto";
import { accessSync, constants, createReadStream, existsSync, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "./core/read-json.ts";
import { UserError } from "./core/errors.ts";
import { reading, systemReason } from "./core/file-system.ts";
import {
  activationFormats,
  checkpointLayouts,
  manifestFileName,
  manifestFormat,
  manifestFormatVersion,
  weightFormats,
  type Manifest,
} from "./core/manifest.ts";

const number = z.number();
const rgb = z.tuple([number, number, number]);
const bytes = z.int("a byte count").min(0, "a byte count");
// Names come from a file: none may lead out of the folder.
const isFileName = (name: string): boolean => /^(?!\.{1,2}$)[^/\\]+$/.test(name);

const config = z.object({
  text: z.object({
    hiddenSize: number,
    layerCount: number,
    queryHeadCount: number,
    kvHeadCount: number,
    headDim: number,
    denseWidth: number,
    vocabSize: number,
    rmsEpsilon: number,
    ropeTheta: number,
    ropePairs: z.object({ height: number, width: number, time: number }),
    maxPositions: number,
    tiedEmbedding: z.boolean(),
  }),
  moe: z.object({
    expertCount: number,
    textWidth: number,
    visionWidth: number,
    topK: number,
    sharedWidth: number,
    sparseLayers: z.array(z.boolean()),
    normMin: number,
  }),
  vision: z.object({
    hiddenSize: number,
    layerCount: number,
    headCount: number,
    mlpWidth: number,
    patchSize: number,
    mergeSize: number,
    temporalMergeSize: number,
    layerNormEpsilon: number,
    ropeTheta: number,
  }),
  tokens: z.object({
    bos: number,
    pad: number,
    eos: z.array(number),
    image: number,
    video: number,
    imageStart: number,
    imageEnd: number,
    videoStart: number,
    videoEnd: number,
  }),
  image: z.object({ minPixels: number, maxPixels: number, mean: rgb, std: rgb }),
});

const manifest: z.ZodType<Manifest> = z.object({
  format: z.literal(manifestFormat),
  formatVersion: z.literal(manifestFormatVersion),
  createdBy: z.string(),
  onnxruntime: z.string(),
  source: z.object({
    name: z.string(),
    layout: z.enum(checkpointLayouts),
    files: z.record(z.string(), z.object({ bytes })),
  }),
  settings: z.object({
    weights: z.enum(weightFormats),
    activations: z.enum(activationFormats),
    experts: z.literal("modality-moe").exactOptional(),
  }),
  calibration: z.object({ sha256: z.string(), tokenCount: number }).exactOptional(),
  config,
  files: z
    .record(z.string(), z.object({ bytes, sha256: z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 in hex") }))
    .refine((files) => Object.keys(files).every(isFileName), "names of files in the same folder"),
});

const origin = z.object({ format: z.unknown().optional(), formatVersion: z.unknown().optional(), createdBy: z.unknown().optional() });

/** Whether the server can load the folder as it is or has to convert it first. Throws a UserError when it is neither. */
export function classifyFolder(folder: string): "converted" | "checkpoint" {
  const stat = reading(folder, () => statSync(folder, { throwIfNoEntry: false }));
  if (!stat) {
    throw new UserError(`${folder}: no such folder; check the path, or download the model with ernie-vl pull`);
  }
  if (!stat.isDirectory()) throw new UserError(`${folder}: expected a model folder, got a file; use the folder that contains it`);
  reading(folder, () => accessSync(folder, constants.R_OK | constants.X_OK));
  const kind = kindOf(folder);
  if (kind !== undefined) return kind;
  const inside = modelsInside(folder);
  throw new UserError(
    `${folder}: neither a converted model (${manifestFileName}) nor a Hugging Face checkpoint (config.json); ` +
      (inside.length > 0 ? `use a folder inside it: ${inside.slice(0, 3).join(", ")}` : "check the path"),
  );
}

function kindOf(folder: string): "converted" | "checkpoint" | undefined {
  if (existsSync(join(folder, manifestFileName))) return "converted";
  return existsSync(join(folder, "config.json")) ? "checkpoint" : undefined;
}

/** Models one level below; the Hugging Face cache has them in `snapshots`. */
function modelsInside(folder: string): string[] {
  const parents = [folder, join(folder, "snapshots")].filter((parent) => existsSync(parent));
  const paths = parents.flatMap((parent) => reading(parent, () => readdirSync(parent)).map((name) => join(parent, name)));
  return paths.filter((path) => kindOf(path) !== undefined).toSorted();
}

/** Checks the manifest, and that every file is there in full size. Throws a UserError otherwise. */
export function readManifest(folder: string): Manifest {
  const path = join(folder, manifestFileName);
  if (!existsSync(path)) {
    throw new UserError(`${folder}: not a converted model, there is no ${manifestFileName}; convert the checkpoint with ernie-vl convert`);
  }
  const { format, formatVersion, createdBy } = readJson(path, origin);
  if (format !== manifestFormat) throw new UserError(`${path}: expected a manifest of ernie-vl, got another file; check the path`);
  if (formatVersion !== manifestFormatVersion) {
    const got = `format ${String(formatVersion)}, written by ernie-vl ${String(createdBy)}`;
    throw new UserError(`${folder}: expected format ${manifestFormatVersion}, got ${got}; convert again with ernie-vl convert`);
  }
  const content = readJson(path, manifest);
  for (const [name, file] of Object.entries(content.files)) {
    const stored = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stored?.size === file.bytes) {
      if (isWeights(name)) refuseLink(join(folder, name));
      continue;
    }
    const got = stored ? `${stored.size} bytes` : "no such file";
    throw new UserError(`${join(folder, name)}: expected ${file.bytes} bytes, got ${got}; copy the folder again or convert again`);
  }
  return content;
}

const isWeights = (name: string): boolean => name.endsWith(".data");

/** ONNX Runtime refuses weights in symbolic links to other folders and in hard links, but its message does not say what to do. */
function refuseLink(path: string): void {
  const stat = lstatSync(path);
  if (stat.nlink === 1 && !stat.isSymbolicLink()) return;
  const kind = stat.isSymbolicLink() ? "symbolic" : "hard";
  throw new UserError(`${path}: expected a file, got a ${kind} link, which ONNX Runtime does not read; copy the folder with cp -rL`);
}

const readBytes = 4 * 2 ** 20;

async function readHash(path: string): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: readBytes }) as AsyncIterable<Buffer>) hash.update(chunk);
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${systemReason(error)}`, { cause: error });
  }
  return hash.digest("hex");
}

/** Reads every file, or all but the weights, and compares it with the manifest's SHA-256. Throws a UserError at the first that differs. */
export async function verifyFiles(folder: string, { files }: Manifest, which: "all" | "all but weights" = "all"): Promise<void> {
  for (const [name, { sha256 }] of Object.entries(files)) {
    if (which === "all but weights" && isWeights(name)) continue;
    const path = join(folder, name);
    const got = await readHash(path);
    if (got !== sha256) throw new UserError(`${path}: expected SHA-256 ${sha256}, got ${got}; copy the folder again or convert again`);
  }
}
