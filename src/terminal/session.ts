// A conversation at a terminal: questions, answers as they come, and commands that begin with a slash.

import { existsSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readFilePart } from "../client/file-data.ts";
import type { OnText } from "../client/answer-reader.ts";
import type { MeasuredAnswer } from "../client/send-request.ts";
import { UserError } from "../core/errors.ts";
import { homeFolder, writing } from "../core/file-system.ts";
import { AnswerWriter, dim } from "./answer-writer.ts";
import type { AttachedFile, Conversation } from "./conversation.ts";
import { describeAnswer, describeFailure } from "./describe-answer.ts";
import { printable } from "../core/printable.ts";
import { PromptReader } from "./prompt-reader.ts";

/** Sends the conversation so far. An aborted signal ends the answer with a failure of the kind `interrupted`. */
export type AskServer = (request: object, options: { readonly signal: AbortSignal; readonly onText: OnText }) => Promise<MeasuredAnswer>;

type SessionOptions = {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream & { readonly columns?: number };
  readonly hasColor: boolean;
  readonly conversation: Conversation;
  readonly ask: AskServer;
  /** Go with the first question. */
  readonly files: readonly AttachedFile[];
  /** Ends the conversation as leaving does, so that the terminal is as it was. */
  readonly signal?: AbortSignal;
};

type Command = { readonly usage: string; readonly meaning: string; readonly run: (argument: string) => Promise<void> | void };

/** Ends when the person leaves. */
export function converse(options: SessionOptions): Promise<void> {
  return new Session(options).run();
}

class Session {
  readonly #options: SessionOptions;
  readonly #prompts: PromptReader;
  readonly #commands: Readonly<Record<string, Command>>;
  #files: AttachedFile[];
  #answering: AbortController | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#files = [...options.files];
    this.#prompts = new PromptReader(options.input, options.output, () => this.#answering?.abort());
    const attach = { meaning: "send a picture, video, PDF or text with the next question", run: (path: string) => this.#attach(path) };
    this.#commands = {
      image: { usage: "/image PATH", ...attach },
      file: { usage: "/file PATH", ...attach, meaning: "the same as /image" },
      think: { usage: "/think on|off", meaning: "let the model think before it answers, or not", run: (choice) => this.#think(choice) },
      retry: { usage: "/retry", meaning: "ask the last question again", run: () => this.#retry() },
      clear: { usage: "/clear", meaning: "start a new conversation", run: () => this.#clear() },
      save: { usage: "/save FILE", meaning: "write the conversation as Markdown", run: (path) => this.#save(path) },
      help: { usage: "/help", meaning: "show this", run: () => this.#help() },
      quit: { usage: "/quit", meaning: "leave (also Ctrl-D, or Ctrl-C twice)", run: () => this.#prompts.close() },
    };
  }

  async run(): Promise<void> {
    this.#options.signal?.addEventListener("abort", () => this.#prompts.close(), { once: true });
    if (this.#files.length > 0) this.#sayFiles();
    for (let message = await this.#prompts.next(); message !== undefined; message = await this.#prompts.next()) {
      try {
        await this.#take(message.trimEnd());
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        this.#say(printable(error.message));
      }
    }
  }

  async #take(message: string): Promise<void> {
    const [, name, argument = ""] = /^\/(\S*)\s*([^]*)$/.exec(message) ?? [];
    if (name === undefined) return this.#ask(message);
    const command = Object.hasOwn(this.#commands, name) ? this.#commands[name] : undefined;
    if (!command)
      throw new UserError(
        `Unknown command /${name}; /help lists the commands. To ask a question that starts with a slash, put a space before it.`,
      );
    await command.run(argument.trim());
  }

  async #ask(text: string): Promise<void> {
    if (text.trim() === "" && this.#files.length === 0) return;
    this.#options.conversation.ask({ text: text.trim(), files: this.#files });
    this.#files = [];
    await this.#answer();
  }

  async #answer(): Promise<void> {
    const { conversation, output, hasColor, ask } = this.#options;
    const writer = new AnswerWriter({ output, isTerminal: true, thoughts: output, hasColor });
    let text = "";
    this.#answering = new AbortController();
    const endWait = this.#beginWait();
    const onText: OnText = (answer, thought) => {
      endWait();
      text += answer;
      writer.write(answer, thought);
    };
    const measured = await ask(conversation.toRequest(), { signal: this.#answering.signal, onText });
    this.#answering = undefined;
    endWait();
    writer.end();
    conversation.takeAnswer(text);
    const { failure } = measured;
    if (failure && failure.kind !== "interrupted") this.#say(`${describeFailure(failure)} (/retry asks again)`);
    else this.#say(dim(failure ? "stopped" : describeAnswer(measured), hasColor));
    this.#say("");
  }

  /** Reading a long prompt may take a minute. Returns what takes the sign of it away. */
  #beginWait(): () => void {
    const { output, hasColor } = this.#options;
    let waits = true;
    output.write(dim("…", hasColor));
    return () => {
      if (waits) output.write("\r\u001b[K"); // erases the line
      waits = false;
    };
  }

  #attach(path: string): void {
    if (path === "") throw new UserError("Give the path of a file, such as /image photo.jpg.");
    const found = findFile(path);
    this.#files.push({ name: basename(found), part: readFilePart(found) });
    this.#sayFiles();
  }

  #sayFiles(): void {
    this.#say(`Attached to the next question: ${this.#files.map(({ name }) => printable(name)).join(", ")}`);
  }

  #think(choice: string): void {
    if (choice !== "on" && choice !== "off") throw new UserError("Use /think on or /think off.");
    this.#options.conversation.thinking = choice === "on";
    this.#say(choice === "on" ? "The model thinks before it answers." : "The model answers without thinking.");
  }

  async #retry(): Promise<void> {
    if (!this.#options.conversation.forgetAnswer()) throw new UserError("There is no question yet.");
    await this.#answer();
  }

  #clear(): void {
    this.#options.conversation.clear();
    this.#files = [];
    this.#say("Started a new conversation.");
  }

  #save(path: string): void {
    const { conversation } = this.#options;
    if (path === "") throw new UserError("Give the name of a file, such as /save talk.md.");
    if (conversation.isEmpty) throw new UserError("There is nothing to save yet.");
    writing(path, () => writeFileSync(fromHome(path), conversation.toMarkdown(), { flag: "wx" }));
    this.#say(`Saved to ${printable(path)}.`);
  }

  #help(): void {
    for (const { usage, meaning } of Object.values(this.#commands)) this.#say(`  ${usage.padEnd(16)}${meaning}`);
    this.#say("  End a line with a backslash to continue on the next. Pasted lines are sent together.");
    this.#say("  Ctrl-C stops an answer.");
  }

  #say(line: string): void {
    this.#options.output.write(`${line}\n`);
  }
}

/** As typed, or as terminals write a file that is dropped on them: in quotes, or with backslashes. */
function findFile(text: string): string {
  const quoted = /^(['"])(.*)\1$/.exec(text)?.[2];
  const spellings = [text, ...(quoted === undefined ? [] : [quoted]), text.replaceAll(/\\(.)/g, "$1")].map(fromHome);
  return spellings.find((path) => existsSync(path)) ?? spellings[0]!;
}

function fromHome(path: string): string {
  return path.startsWith("~/") ? `${homeFolder() ?? "~"}${path.slice(1)}` : path;
}
