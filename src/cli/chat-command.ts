// Options of `ernie-vl chat`.

import { Command, Option } from "commander";
import type { ChatOptions } from "./chat.ts";
import { notEmpty, temperature, wholeNumber } from "./options.ts";
import { apiKeyOption, urlOption } from "./server-options.ts";

const examples = `
Examples:
  ernie-vl chat                                              a conversation; /help shows its commands
  ernie-vl chat "What is in it?" --image photo.jpg           one answer; the output has nothing else
  ernie-vl chat "Summarize it." --file report.pdf > summary.md
  git diff | ernie-vl chat "Review this change." --file -    the pipe is a file beside the question
  ernie-vl chat < question.txt                               the question comes from a pipe
  ernie-vl chat --url https://other:8000 --model ernie --thinking on

Keys, commands, what goes where: docs/chat.md`;

type ChatFlags = Omit<ChatOptions, "question" | "files" | "thinking"> & {
  readonly image?: readonly string[];
  readonly file?: readonly string[];
  readonly thinking?: "on" | "off";
};

export function chatCommand(): Command {
  return new Command("chat")
    .summary("Talk to a running server in the terminal.")
    .description("Talk to a running server in the terminal. With a question: one answer. Without: a conversation.")
    .argument("[question]", "what to ask, once")
    .option("--image <file>", "send a picture with the question; again for several", severalFiles)
    .option("--file <file>", "send a PDF, text or video, or - for what comes through the pipe; again for several", severalFiles)
    .addOption(urlOption())
    .option("--model <name>", "model to ask (default: the first that the server lists)", notEmpty)
    .addOption(apiKeyOption())
    .option("--system <text>", "what the model is told before", notEmpty)
    .addOption(new Option("--thinking <switch>", "think before answering (default: as the server does)").choices(["on", "off"]))
    .option("--temperature <t>", "of sampling, 0 to 2 (default: the server's)", temperature)
    .option("--max-tokens <n>", "tokens of an answer, thinking included (default: what there is room for)", wholeNumber(1, 1 << 20))
    .addHelpText("after", examples)
    .action(async (question: string | undefined, { image = [], file = [], thinking, ...flags }: ChatFlags) => {
      const { chat } = await import("./chat.ts");
      await chat({ ...flags, question, files: [...image, ...file], thinking: thinking && thinking === "on" });
    });
}

function severalFiles(path: string, before: readonly string[] = []): readonly string[] {
  return [...before, notEmpty(path)];
}
