#!/usr/bin/env node
// Parses the command line, and is the one place where errors become exit codes. Modules that a command needs are loaded when it runs, so that
// --help and a misspelt option are quick.

import { constants } from "node:os";
import { resolve } from "node:path";
import { Argument, Command, Option } from "commander";
import { nanoModel } from "./core/nano-model.ts";
import { batchCommand } from "./cli/batch-command.ts";
import { benchCommand } from "./cli/bench-command.ts";
import { chatCommand } from "./cli/chat-command.ts";
import { activationsOption, expertsOption, weightsOption } from "./cli/conversion-options.ts";
import { explainError } from "./cli/explain-error.ts";
import { helpCommand } from "./cli/help-command.ts";
import { serveCommand } from "./cli/serve-command.ts";
import { notEmpty } from "./cli/options.ts";
import { shellWord } from "./core/shell-word.ts";
import type { Source } from "./convert/source.ts";
import { syntheticNames } from "./convert/synthetic-shapes.ts";
import { InterruptedError, interruptedExitCode, UserError } from "./core/errors.ts";
import { systemReason } from "./core/file-system.ts";
import type { ActivationFormat, ExpertChoice, WeightFormat } from "./core/manifest.ts";
import { printable } from "./core/printable.ts";
import { programVersion } from "./version.ts";

/** Lines may contain names of files and models that others chose. */
const say = (line: string): void => void process.stdout.write(`${printable(line)}\n`);

type ConvertFlags = {
  out: string;
  synthetic?: string;
  weights?: WeightFormat;
  activations?: ActivationFormat;
  experts: ExpertChoice;
  /** A file, or true if the option has no value. */
  calibrate?: string | true;
  overwrite: boolean;
};

const calibrateHelp =
  "choose the int4 rounding from activations recorded while the model answers sample chats: FILE (JSON Lines of chat requests) or a built-in set. Takes several times as long, and as much memory as serving";

const convertExamples = `
Examples:
  ernie-vl convert ./ERNIE-4.5-VL-28B-A3B-PT --out ./ernie-28b-int4
  ernie-vl serve --model ./ernie-28b-int4

  # For a GPU
  ernie-vl convert ./ERNIE-4.5-VL-28B-A3B-PT --out ./ernie-28b-gpu --activations bf16

  # Random weights, to benchmark without a checkpoint
  ernie-vl convert --synthetic 28b-slice --out ./slice

Disk space, time and memory needed: docs/getting-started.md`;

function convertCommand(): Command {
  return new Command("convert")
    .summary("Convert a checkpoint ahead of time.")
    .description(
      "Convert a checkpoint to a folder that `serve` loads directly. `serve` converts checkpoints by itself: use this command to convert on another machine, to choose the folder, or to calibrate. If it is interrupted, run the same command again to resume.",
    )
    .argument("[checkpoint]", "folder with config.json and *.safetensors, in Baidu's or transformers' layout", notEmpty)
    .addOption(new Option("--synthetic <size>", "use random weights instead of a checkpoint, for benchmarks").choices(syntheticNames))
    .requiredOption("--out <dir>", "output folder; must be new or empty", notEmpty)
    .addOption(weightsOption())
    .addOption(activationsOption("fp32"))
    .addOption(expertsOption())
    .option("--calibrate [file]", calibrateHelp)
    .option("--overwrite", "replace an earlier conversion in the output folder", false)
    .addHelpText("after", convertExamples)
    .action(async (checkpoint: string | undefined, flags: ConvertFlags) => {
      const { weights = "int4", activations = "fp32", experts, calibrate, overwrite } = flags;
      const source = toSource(checkpoint, flags.synthetic);
      const { chooseSettings, convertWithProgress } = await import("./cli/prepare-model.ts");
      const options = { settings: chooseSettings(weights, activations, experts), programVersion: programVersion(), overwrite };
      const target = resolve(flags.out);
      if (calibrate === undefined) await convertWithProgress(source, target, options, say);
      else {
        const { convertCalibrated } = await import("./cli/calibrate.ts");
        await convertCalibrated(source, target, { ...options, chatFile: calibrate === true ? undefined : calibrate }, say);
      }
      say(`Serve it with: ernie-vl serve --model ${shellWord(flags.out)}`);
    });
}

function toSource(checkpoint: string | undefined, synthetic: string | undefined): Source {
  if (synthetic !== undefined && checkpoint === undefined) return { type: "synthetic", name: synthetic };
  if (checkpoint !== undefined && synthetic === undefined) return { type: "checkpoint", folder: resolve(checkpoint) };
  throw new UserError("convert needs either a checkpoint folder or --synthetic SIZE");
}

const pullHelp = `
Environment:
  HF_TOKEN                 token for private or gated repositories
                           (default: the token stored by a Hugging Face login)
  HF_ENDPOINT              URL of another hub or a mirror
  HTTPS_PROXY, HTTP_PROXY  proxy, e.g. http://user:password@proxy.example:3128
  NO_PROXY                 comma-separated hosts that bypass the proxy

Examples:
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT --out /srv/models/ernie-28b

Next:
  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT         check it and its memory needs
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT`;

function pullCommand(): Command {
  return new Command("pull")
    .summary("Download a checkpoint from the Hugging Face hub.")
    .description(
      "Download a checkpoint from the Hugging Face hub and verify every file. If it is interrupted, run the same command again to resume.",
    )
    .argument("<repo>", "repository as owner/name, e.g. baidu/ERNIE-4.5-VL-28B-A3B-PT")
    .option("--revision <revision>", "branch, tag or commit", notEmpty, "main")
    .option("--out <dir>", "output folder (default: the repository's name)", notEmpty)
    .addHelpText("after", pullHelp)
    .action(async (repo: string, { revision, out }: { revision: string; out: string | undefined }) => {
      const { pull } = await import("./cli/pull.ts");
      await pull({ repo, revision, out }, say);
    });
}

function doctorCommand(): Command {
  return new Command("doctor")
    .summary("Check this machine and a model folder.")
    .description(
      "Check this machine and a model folder: versions, libraries, devices, missing or damaged files, memory needs, and how many sequences fit on common GPUs. Exits with code 1 if the server could not start.",
    )
    .addArgument(new Argument("[dir]", "converted model or checkpoint").argParser(notEmpty).default(nanoModel, "the nano model"))
    .addHelpText("after", "\nExample:\n  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT")
    .action(async (folder: string) => {
      const { doctor } = await import("./cli/doctor.ts");
      if (!(await doctor(folder, say))) process.exitCode = 1;
    });
}

// If the reader of the output goes away (`| head`), that is not an error. If the disk is full, the command goes on and exits with code 1.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  if (process.exitCode === undefined) process.stderr.write(`ernie-vl: cannot write the output: ${systemReason(error)}\n`);
  process.exitCode = 1;
});
process.stderr.on("error", () => {}); // nobody is left to be told

// Process 1, as in a container without an init, is not ended by a signal that nothing listens for.
if (process.pid === 1) {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1)
        void import("./runtime/exit-now.ts").then(({ exitNow }) => exitNow(128 + constants.signals[signal]));
    });
  }
}

const programHelp = `
Without a command, \`serve\` runs. \`ernie-vl COMMAND --help\` shows a command's
options, defaults and examples.

Examples:
  # Try it with the bundled nano model, then open http://127.0.0.1:8000
  ernie-vl serve

  # Download, check and serve a large model
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT

  # Ask it, from another terminal
  ernie-vl chat "What is in this photo?" --image photo.jpg

Documentation: docs/README.md in the installation folder`;

const program = new Command("ernie-vl")
  .description("Serve ERNIE-4.5-VL on your own hardware, with OpenAI- and Anthropic-compatible APIs.")
  .version(programVersion())
  .addHelpText("after", programHelp)
  .addCommand(serveCommand(nanoModel, say), { isDefault: true })
  .addCommand(pullCommand())
  .addCommand(convertCommand())
  .addCommand(chatCommand())
  .addCommand(batchCommand(say))
  .addCommand(benchCommand(say))
  .addCommand(doctorCommand())
  .addCommand(helpCommand());
for (const command of [program, ...program.commands]) command.showHelpAfterError("(see --help)");

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`ernie-vl: ${printable(explainError(error))}\n`); // it may quote what others wrote
  process.exit(error instanceof InterruptedError ? interruptedExitCode : 1);
}
