#!/usr/bin/env node
// The command line: parses it, and is the one place where errors become exit codes.

import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import pino, { type Logger } from "pino";
import { deviceChoices, type DeviceChoice } from "./cli/choose-device.ts";
import { doctor } from "./cli/doctor.ts";
import { defaultMemoryWishes } from "./cli/memory-plan.ts";
import { fraction, wholeNumber } from "./cli/options.ts";
import { chooseSettings, convertWithProgress } from "./cli/prepare-model.ts";
import { serve } from "./cli/serve.ts";
import type { Source } from "./convert/source.ts";
import { syntheticNames } from "./convert/synthetic-shapes.ts";
import { UserError } from "./core/errors.ts";
import {
  activationFormats,
  expertChoices,
  weightFormats,
  type ActivationFormat,
  type ExpertChoice,
  type WeightFormat,
} from "./core/manifest.ts";
import { programVersion } from "./version.ts";

/** The trained nano checkpoint that comes with the program. */
const nanoModel = fileURLToPath(new URL("../models/ernie-vl-nano", import.meta.url));

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const weightsOption = () =>
  new Option("--weights <format>", "precision of the weights when a checkpoint is converted").choices(weightFormats).default("int4");
const activationsOption = (fallback: string) =>
  new Option(
    "--activations <format>",
    `type of activations and KV cache when a checkpoint is converted; a CPU computes fp32 or fp16, a GPU bf16 or fp16 (default: ${fallback})`,
  ).choices(activationFormats);

const expertsOption = () =>
  new Option("--experts <operator>", "what computes the routed experts: our own kernel (npm run kernels:build) or ONNX Runtime's")
    .choices(expertChoices)
    .default("auto");

const serveExamples = `
Examples:
  ernie-vl serve                                        the nano model that comes with the program
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT --weights int4
  ernie-vl serve --host 0.0.0.0 --api-key "$(openssl rand -hex 24)"`;

function serveCommand(): Command {
  return new Command("serve")
    .description("Serve a model with an OpenAI-compatible API.")
    .option("--model <dir>", "converted model or Hugging Face checkpoint (converted once, into a cache)", nanoModel)
    .addOption(weightsOption())
    .addOption(activationsOption("bf16 on a GPU, else fp32"))
    .addOption(expertsOption())
    .addOption(
      new Option("--device <device>", "where to compute; auto takes a GPU where one can be used").choices(deviceChoices).default("auto"),
    )
    .option("--threads <n>", "CPU threads for the model; 0 = one per physical core", wholeNumber(0, 1024), 0)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on; 0 = any free one", wholeNumber(0, 65535), 8000)
    .addOption(new Option("--api-key <key...>", "keys that clients must send as bearer token").env("ERNIE_VL_API_KEY"))
    .option("--insecure-no-auth", "allow an address other than localhost without a key", false)
    .option("--served-model-name <name>", "name of the model in the API (default: the checkpoint's folder name)")
    .option(
      "--max-model-len <n>",
      "tokens of prompt and answer together (default: what the model and memory allow)",
      wholeNumber(16, 1 << 24),
    )
    .option("--max-num-seqs <n>", "sequences computed at the same time (default: 16, fewer where memory is short)", wholeNumber(1, 4096))
    .option(
      "--gpu-memory-utilization <share>",
      "share of the GPU's memory that may be in use, by other programs too",
      fraction,
      defaultMemoryWishes.gpuMemoryUtilization,
    )
    .option(
      "--prefill-chunk <n>",
      "prompt tokens computed in one step; smaller keeps running streams smoother",
      wholeNumber(1, 1 << 16),
      defaultMemoryWishes.prefillChunkTokens,
    )
    .option("--max-waiting <n>", "requests that may wait for a slot before new ones get 429", wholeNumber(0, 1 << 20), 256)
    .addOption(new Option("--default-thinking <switch>", "think when a request does not say").choices(["on", "off"]).default("off"))
    .addHelpText("after", serveExamples)
    .action(async (flags: ServeFlags) => {
      const apiKeys = flags.apiKey ?? [];
      await serve(
        {
          model: flags.model,
          weights: flags.weights,
          activations: flags.activations,
          experts: flags.experts,
          kvCacheType: "auto",
          gpuMemoryUtilization: flags.gpuMemoryUtilization,
          device: flags.device,
          threads: flags.threads,
          host: flags.host,
          port: flags.port,
          apiKeys: Array.isArray(apiKeys) ? apiKeys : [apiKeys],
          allowNoKey: flags.insecureNoAuth,
          servedModelName: flags.servedModelName,
          maxModelLength: flags.maxModelLen,
          maxSequences: flags.maxNumSeqs,
          prefillChunkTokens: flags.prefillChunk,
          maxWaiting: flags.maxWaiting,
          defaultThinking: flags.defaultThinking === "on",
        },
        createLogger(),
        say,
      );
    });
}

type ServeFlags = {
  model: string;
  weights: WeightFormat;
  activations?: ActivationFormat;
  experts: ExpertChoice;
  device: DeviceChoice;
  gpuMemoryUtilization: number;
  threads: number;
  host: string;
  port: number;
  apiKey?: string[] | string;
  insecureNoAuth: boolean;
  servedModelName?: string;
  maxModelLen?: number;
  maxNumSeqs?: number;
  prefillChunk: number;
  maxWaiting: number;
  defaultThinking: "on" | "off";
};

type ConvertFlags = {
  out: string;
  synthetic?: string;
  weights: WeightFormat;
  activations?: ActivationFormat;
  experts: ExpertChoice;
  overwrite: boolean;
};

function convertCommand(): Command {
  return new Command("convert")
    .description("Convert a Hugging Face checkpoint to a folder that `serve` loads directly. Stopped, it goes on where it was.")
    .argument("[checkpoint]", "folder with config.json and *.safetensors (Baidu's layout or transformers')")
    .addOption(new Option("--synthetic <size>", "made-up weights instead of a checkpoint, to measure with").choices(syntheticNames))
    .requiredOption("--out <dir>", "folder to write; must not exist yet")
    .addOption(weightsOption())
    .addOption(activationsOption("fp32"))
    .addOption(expertsOption())
    .option("--overwrite", "replace an earlier conversion in that folder", false)
    .action(async (checkpoint: string | undefined, { out, synthetic, weights, activations = "fp32", experts, overwrite }: ConvertFlags) => {
      const settings = chooseSettings(weights, activations, experts);
      await convertWithProgress(
        toSource(checkpoint, synthetic),
        resolve(out),
        { settings, programVersion: programVersion(), overwrite },
        say,
      );
    });
}

function toSource(checkpoint: string | undefined, synthetic: string | undefined): Source {
  if (synthetic !== undefined && checkpoint === undefined) return { type: "synthetic", name: synthetic };
  if (checkpoint !== undefined && synthetic === undefined) return { type: "checkpoint", folder: resolve(checkpoint) };
  throw new UserError("convert takes a checkpoint folder or --synthetic SIZE, one of the two");
}

const pullEnvironment = `
Environment:
  HF_TOKEN      token for private or gated repositories (default: the login stored by other hub clients)
  HF_ENDPOINT   address of another hub or mirror`;

function pullCommand(): Command {
  return new Command("pull")
    .description("Download a checkpoint from the Hugging Face hub: resumes, verifies every file. The only command that uses the network.")
    .argument("<repo>", "owner/name, e.g. baidu/ERNIE-4.5-VL-28B-A3B-PT")
    .option("--revision <revision>", "branch, tag or commit", "main")
    .option("--out <dir>", "folder to write (default: the repository's name)")
    .addHelpText("after", pullEnvironment)
    .action(async (repo: string, { revision, out }: { revision: string; out: string | undefined }) => {
      const { pull } = await import("./cli/pull.ts"); // the hub's client library takes a while to load
      await pull({ repo, revision, out }, say);
    });
}

function doctorCommand(): Command {
  return new Command("doctor")
    .description("Report versions, libraries, devices, what a model folder holds and lacks, and how much memory it takes.")
    .argument("[dir]", "converted model or checkpoint", nanoModel)
    .action(async (folder: string) => {
      if (!(await doctor(folder, say))) process.exitCode = 1;
    });
}

/** One line per event on stderr: readable on a terminal, JSON otherwise. */
function createLogger(): Logger {
  const level = process.env["LOG_LEVEL"] ?? "info";
  if (!process.stderr.isTTY) return pino({ level }, pino.destination(2));
  return pino({
    level,
    transport: { target: "pino-pretty", options: { destination: 2, ignore: "pid,hostname", translateTime: "HH:MM:ss" } },
  });
}

// A reader of the output that goes away (`| head`) is no reason to fail.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const program = new Command("ernie-vl")
  .description("Serve ERNIE-4.5-VL on your own hardware, with an OpenAI-compatible API.")
  .version(programVersion())
  .showHelpAfterError("(--help shows what is allowed)")
  .addCommand(serveCommand(), { isDefault: true })
  .addCommand(pullCommand())
  .addCommand(convertCommand())
  .addCommand(doctorCommand());

try {
  await program.parseAsync();
} catch (error) {
  // The operator's mistakes are one line; anything else is a bug and shows where.
  const message = error instanceof UserError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`ernie-vl: ${message}\n`);
  process.exit(1);
}
