#!/usr/bin/env node
// The command line: parses it, and is the one place where errors become exit codes. What a command works with is loaded when it runs: --help
// and a misspelt flag need none of it.

import { resolve } from "node:path";
import { Argument, Command, Option } from "commander";
import { nanoModel } from "./core/nano-model.ts";
import { batchCommand } from "./cli/batch-command.ts";
import { benchCommand } from "./cli/bench-command.ts";
import { chatCommand } from "./cli/chat-command.ts";
import { activationsOption, expertsOption, weightsOption } from "./cli/conversion-options.ts";
import { helpCommand } from "./cli/help-command.ts";
import { serveCommand } from "./cli/serve-command.ts";
import { notEmpty } from "./cli/options.ts";
import type { Source } from "./convert/source.ts";
import { syntheticNames } from "./convert/synthetic-shapes.ts";
import { InterruptedError, interruptedExitCode, UserError } from "./core/errors.ts";
import { systemReason } from "./core/file-system.ts";
import type { ActivationFormat, ExpertChoice, WeightFormat } from "./core/manifest.ts";
import { printable } from "./core/printable.ts";
import { programVersion } from "./version.ts";

/** A line may hold names of files and models, which others chose. */
const say = (line: string): void => void process.stdout.write(`${printable(line)}\n`);

type ConvertFlags = {
  out: string;
  synthetic?: string;
  weights?: WeightFormat;
  activations?: ActivationFormat;
  experts: ExpertChoice;
  /** A file, or true when none is named. */
  calibrate?: string | true;
  overwrite: boolean;
};

const calibrateHelp =
  "round int4 weights for what they are given, found out by running sample chats: JSON Lines of chat requests, or built-in ones; takes several times as long, and the memory that serving takes";

const convertExamples = `
Examples:
  ernie-vl convert ./ERNIE-4.5-VL-28B-A3B-PT --out ./ernie-28b-int4
  ernie-vl convert ./ERNIE-4.5-VL-28B-A3B-PT --out ./ernie-28b-gpu --activations bf16        for a GPU
  ernie-vl convert --synthetic 28b-slice --out ./slice                                       to measure without a checkpoint
  ernie-vl serve --model ./ernie-28b-int4

Disk, time and memory it takes: docs/getting-started.md`;

function convertCommand(): Command {
  return new Command("convert")
    .summary("Convert a checkpoint to a folder that `serve` loads directly.")
    .description(
      "Convert a checkpoint to a folder that `serve` loads directly; stopped, it goes on where it was. Needed only to convert on another machine, into a folder of your choice, or with --calibrate: `serve` converts by itself.",
    )
    .argument("[checkpoint]", "folder with config.json and *.safetensors (Baidu's layout or transformers')", notEmpty)
    .addOption(new Option("--synthetic <size>", "made-up weights instead of a checkpoint, to measure with").choices(syntheticNames))
    .requiredOption("--out <dir>", "folder to write; must not exist yet", notEmpty)
    .addOption(weightsOption())
    .addOption(activationsOption("fp32"))
    .addOption(expertsOption())
    .option("--calibrate [file]", calibrateHelp)
    .option("--overwrite", "replace an earlier conversion in that folder", false)
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
      say(`Serve it with: ernie-vl serve --model ${flags.out}`);
    });
}

function toSource(checkpoint: string | undefined, synthetic: string | undefined): Source {
  if (synthetic !== undefined && checkpoint === undefined) return { type: "synthetic", name: synthetic };
  if (checkpoint !== undefined && synthetic === undefined) return { type: "checkpoint", folder: resolve(checkpoint) };
  throw new UserError("convert takes a checkpoint folder or --synthetic SIZE, one of the two");
}

const pullHelp = `
Environment:
  HF_TOKEN                 token for private or gated repositories (default: the login stored by other hub clients)
  HF_ENDPOINT              address of another hub or mirror
  HTTPS_PROXY, HTTP_PROXY  proxy to go through, e.g. http://user:password@proxy.example:3128
  NO_PROXY                 hosts to ask directly, with commas between

Examples:
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT --out /srv/models/ernie-28b
  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT                     what it takes in memory
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT`;

function pullCommand(): Command {
  return new Command("pull")
    .description(
      "Download a checkpoint from the Hugging Face hub: the same command again goes on where it stopped; every file is verified.",
    )
    .argument("<repo>", "owner/name, e.g. baidu/ERNIE-4.5-VL-28B-A3B-PT")
    .option("--revision <revision>", "branch, tag or commit; a commit for the same files everywhere", notEmpty, "main")
    .option("--out <dir>", "folder to write (default: the repository's name)", notEmpty)
    .addHelpText("after", pullHelp)
    .action(async (repo: string, { revision, out }: { revision: string; out: string | undefined }) => {
      const { pull } = await import("./cli/pull.ts");
      await pull({ repo, revision, out }, say);
    });
}

function doctorCommand(): Command {
  return new Command("doctor")
    .summary("Report what this machine has, and what a model holds, lacks and takes.")
    .description(
      "Report versions, libraries, devices, what a model folder holds and lacks, its memory by part, and how many sequences fit where. Exit code 1 where the server could not start.",
    )
    .addArgument(new Argument("[dir]", "converted model or checkpoint").argParser(notEmpty).default(nanoModel, "the nano model"))
    .addHelpText("after", "\nExample:\n  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT")
    .action(async (folder: string) => {
      const { doctor } = await import("./cli/doctor.ts");
      if (!(await doctor(folder, say))) process.exitCode = 1;
    });
}

// A reader of the output that goes away (`| head`) is no reason to fail; a full disk is none to stop, but the exit code tells of it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") return;
  if (process.exitCode === undefined) process.stderr.write(`ernie-vl: cannot write the output: ${systemReason(error)}\n`);
  process.exitCode = 1;
});
process.stderr.on("error", () => {}); // nobody is left to be told

const programHelp = `
Without a command, serve is meant. \`ernie-vl COMMAND --help\` shows its flags, defaults and examples.

From nothing to an answer:
  ernie-vl serve                                       the nano model that comes along: open http://127.0.0.1:8000
  ernie-vl pull baidu/ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl doctor ./ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl serve --model ./ERNIE-4.5-VL-28B-A3B-PT
  ernie-vl chat "What is in it?" --image photo.jpg     from another terminal

Documentation: docs/README.md beside the program`;

const program = new Command("ernie-vl")
  .description("Serve ERNIE-4.5-VL on your own hardware, with the APIs of OpenAI and Anthropic.")
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
for (const command of [program, ...program.commands]) command.showHelpAfterError("(--help shows what is allowed)");

try {
  await program.parseAsync();
} catch (error) {
  // The operator's mistakes are one line; anything else is a bug and shows where.
  const message = error instanceof UserError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`ernie-vl: ${printable(message)}\n`); // it may quote what others wrote
  process.exit(error instanceof InterruptedError ? interruptedExitCode : 1);
}
