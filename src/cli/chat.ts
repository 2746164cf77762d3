// `ernie-vl chat`: one question and answer for scripts and pipes, or a conversation for a person at a terminal.

import { isUtf8 } from "node:buffer";
import { basename } from "node:path";
import { Connection } from "../client/connection.ts";
import { convertToUtf8, maxFileBytes, readFilePart, toPart } from "../client/file-data.ts";
import { sendRequest } from "../client/send-request.ts";
import { chooseModel } from "../client/server-info.ts";
import { interruptedExitCode, UserError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { AnswerWriter, dim } from "../terminal/answer-writer.ts";
import { type AttachedFile, Conversation } from "../terminal/conversation.ts";
import { describeAnswer, describeFailure } from "../terminal/describe-answer.ts";
import { printable } from "../core/printable.ts";
import { type AskServer, converse } from "../terminal/session.ts";

export type ChatOptions = {
  readonly question: string | undefined;
  /** Paths of files that go with it; `-` is what comes through the pipe. */
  readonly files: readonly string[];
  readonly url: string;
  readonly model?: string;
  readonly apiKey?: string;
  readonly system?: string;
  readonly thinking: boolean | undefined;
  readonly temperature?: number;
  readonly maxTokens?: number;
};

const pipe = "-";
const pipedName = "stdin.txt";

/** The default --request-timeout of a server. */
const timeoutMs = 3_600_000;

/** Sets exit code 1 if the answer to a single question is incomplete, 130 after Ctrl-C. Throws UserError if the question cannot be asked. */
export async function chat({ question, files, url, apiKey, ...settings }: ChatOptions): Promise<void> {
  const { stdin, stdout } = process;
  const isConversation = question === undefined && stdin.isTTY;
  if (isConversation && !stdout.isTTY)
    throw new UserError("a conversation needs a terminal for its output; to ask one question, pass it as an argument");
  const piped = files.filter((path) => path === pipe).length;
  if (piped > 0 && (question === undefined || stdin.isTTY || piped > 1)) {
    throw new UserError(
      '--file - needs a question and piped input, and works once per command: git diff | ernie-vl chat "Review this." --file -',
    );
  }
  const attached: AttachedFile[] = [];
  for (const path of files) {
    if (path === pipe) attached.push({ name: pipedName, part: toPart(pipedName, await readPipe(stdin)) });
    else attached.push({ name: basename(path), part: readFilePart(path) });
  }
  const connection = new Connection(url, apiKey);
  const ask: AskServer = (request, options) =>
    sendRequest(connection, JSON.stringify(request), { path: "/v1/chat/completions", timeoutMs, ...options });
  try {
    const model = await chooseModel(connection, settings.model);
    const conversation = new Conversation({ ...settings, model });
    if (isConversation) {
      stdout.write(`${printable(model)} at ${connection.baseUrl}. Type /help for commands, Ctrl-D to leave.\n`);
      await untilTerminated((signal) =>
        converse({ input: stdin, output: stdout, hasColor: hasColor(), conversation, ask, files: attached, signal }),
      );
    } else {
      const text = (question ?? toText(await readPipe(stdin))).trim();
      if (text === "" && attached.length === 0) throw new UserError("there is no question: the argument or the input is empty");
      conversation.ask({ text, files: attached });
      await answerOnce(conversation, ask);
    }
  } finally {
    connection.close();
  }
}

/** SIGTERM ends a conversation in order: the terminal would stay in the mode in which it marks pasted text. */
async function untilTerminated(talk: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const abort = new AbortController();
  const stop = (): void => {
    process.exitCode = interruptedExitCode;
    abort.abort();
  };
  process.once("SIGTERM", stop);
  await talk(abort.signal);
  process.off("SIGTERM", stop);
}

async function readPipe(stdin: NodeJS.ReadStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of stdin as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > maxFileBytes) throw new UserError(`standard input is larger than ${formatBytes(maxFileBytes)}, the limit for one request`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function toText(piped: Buffer): string {
  if (!isUtf8(piped)) throw new UserError(`standard input is not a text in UTF-8; ${convertToUtf8}`);
  return piped.toString();
}

/** Standard output gets the answer only. Thoughts and figures go to standard error, if that is a terminal. */
async function answerOnce(conversation: Conversation, ask: AskServer): Promise<void> {
  const { stdout, stderr } = process;
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  process.once("SIGINT", stop);
  stdout.once("error", stop); // nobody reads any more
  const thoughts = stderr.isTTY ? stderr : undefined;
  const writer = new AnswerWriter({ output: stdout, isTerminal: stdout.isTTY, thoughts, hasColor: hasColor() });
  const measured = await ask(conversation.toRequest(), {
    signal: abort.signal,
    onText: (answer, thought) => writer.write(answer, thought),
  });
  process.off("SIGINT", stop);
  stdout.off("error", stop);
  writer.end();
  const { failure } = measured;
  if (!failure) {
    if (stdout.isTTY && stderr.isTTY) stderr.write(`${dim(describeAnswer(measured), hasColor())}\n`);
  } else if (failure.kind !== "interrupted") {
    stderr.write(`ernie-vl: ${describeFailure(failure)}\n`);
    process.exitCode = 1;
  } else if (!stdout.errored) process.exitCode = interruptedExitCode;
}

/** https://no-color.org */
function hasColor(): boolean {
  return !process.env["NO_COLOR"];
}
