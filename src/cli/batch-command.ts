// Options of `ernie-vl batch`.

import { Command, InvalidArgumentError } from "commander";
import type { BatchOptions } from "./batch.ts";
import { notEmpty, positiveNumber, wholeNumber } from "./options.ts";
import { apiKeyOption, urlOption } from "./server-options.ts";

const examples = `
A line of INPUT:   {"custom_id": "scan-1", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": […]}}
A line of OUTPUT:  {"id": …, "custom_id": "scan-1", "response": {"status_code": 200, "request_id": …, "body": {…}}, "error": null}

Examples:
  ernie-vl batch questions.jsonl answers.jsonl
  ernie-vl batch questions.jsonl answers.jsonl                       the same again, after a kill: goes on
  ernie-vl batch scans.jsonl texts.jsonl --files ./scans             lines name pictures, such as {"url": "page-1.png"}
  ernie-vl batch questions.jsonl answers.jsonl --url https://other:8000 --model ernie --concurrency 64

What goes wrong, and what is kept: docs/batch.md`;

type BatchFlags = Omit<BatchOptions, "input" | "output" | "timeoutMs"> & { readonly timeout: number };

export function batchCommand(say: (line: string) => void): Command {
  return new Command("batch")
    .summary("Send a file of requests to a running server, and write a file of answers.")
    .description(
      "Send a file of requests to a running server, so many at once, and write a file of answers, both in the format of OpenAI's Batch API. Stopped or killed, the same command goes on.",
    )
    .argument("<input>", "requests, one a line (JSON Lines); of any size", filePath)
    .argument("<output>", "answers, one a line as they come; what it holds already is not asked again", filePath)
    .addOption(urlOption())
    .option("--model <name>", "model to ask instead of the one that a line names", notEmpty)
    .addOption(apiKeyOption())
    .option("--concurrency <n>", "requests under way at a time", wholeNumber(1, 4096), 16)
    .option("--files <dir>", "send files of this folder that lines name by path or file: URL; without it, none is read", notEmpty)
    .option("--errors <file>", "where failures go, begun anew with each run (default: OUTPUT with .errors)", notEmpty)
    .option("--retries <n>", "further tries after a 429, a 5xx or a broken connection, ever later", wholeNumber(0, 1000), 10)
    .option("--timeout <s>", "seconds that an answer may take", positiveNumber, 3600)
    .addHelpText("after", examples)
    .action(async (input: string, output: string, { timeout, ...flags }: BatchFlags) => {
      const { batch } = await import("./batch.ts");
      await batch({ ...flags, input, output, timeoutMs: timeout * 1000 }, say);
    });
}

/** A dash would make a file of that name. */
function filePath(text: string): string {
  if (text !== "-") return notEmpty(text);
  throw new InvalidArgumentError("Expected a file: requests are read twice, and answers decide what a second run skips.");
}
