// What `ernie-vl COMMAND --help` says, as data.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { root } from "./code-blocks.ts";

const run = promisify(execFile);

export type HelpOption = {
  /** Such as `--port`. */
  readonly flag: string;
  /** Such as `--port <n>`. */
  readonly term: string;
  /** As the program prints it, without quotes; undefined where it prints none. */
  readonly fallback: string | undefined;
  readonly choices: readonly string[];
  /** Variable of the environment that is taken instead. */
  readonly variable: string | undefined;
};

/** Options of each command but for --help, in the program's order. */
export async function readHelp(): Promise<ReadonlyMap<string, readonly HelpOption[]>> {
  const commands = [...listCommands(await help())].filter((name) => name !== "help");
  return new Map(await Promise.all(commands.map(async (name) => [name, listOptions(await help(name))] as const)));
}

const texts = new Map<string, Promise<string>>();

/** What `ernie-vl help COMMAND` prints, or `ernie-vl help`. Each is run once. */
export function help(command = ""): Promise<string> {
  let text = texts.get(command);
  if (!text) texts.set(command, (text = printHelp(command)));
  return text;
}

async function printHelp(command: string): Promise<string> {
  const args = ["--import", "tsx", "src/main.ts", "help", ...(command === "" ? [] : [command])];
  return (await run(process.execPath, args, { cwd: root })).stdout;
}

/** Lines that run this program, continued lines joined, up to what ends a command. */
export function ownCommands(code: string): { readonly command: string; readonly args: string }[] {
  const lines = code.replaceAll(/\\\n/g, " ").replaceAll(/\s#.*$/gm, "");
  const named = [...lines.matchAll(/(?:(?:^|\s)ernie-vl|\bnode dist\/main\.js) +([a-z]+)([^\n|;&]*)/g)].map(([, command, args]) => ({
    command: command!,
    args: args!,
  }));
  const served = [...lines.matchAll(/npm (?:start|run serve) --( [^\n|;&]*)/g)].map(([, args]) => ({ command: "serve", args: args! }));
  return [...named, ...served].filter(({ command }) => command !== "help");
}

/** Terms and descriptions of the sections whose headings match, wrapped lines joined. */
function entriesOf(text: string, heading: string): [term: string, description: string][] {
  const sections = [...text.matchAll(new RegExp(String.raw`^${heading}:\n((?:  .*\n)+)`, "gm"))].map(([, body]) => body!);
  return sections
    .flatMap((body) => body.split(/\n(?= {2}\S)/))
    .map((entry) => /^ {2}(\S.*?)(?: {2,}([^]*))?$/.exec(entry.trimEnd()) ?? [])
    .map(([, term = "", description = ""]) => [term, description.replaceAll(/\s+/g, " ")]);
}

function* listCommands(text: string): Generator<string> {
  for (const [term] of entriesOf(text, "Commands")) yield term.split(" ")[0]!;
}

function listOptions(text: string): HelpOption[] {
  return entriesOf(text, ".*")
    .filter(([term]) => term.startsWith("--"))
    .map(([term, description]) => ({
      flag: /--[a-z-]+/.exec(term)![0],
      term,
      fallback: /default: ("[^"]*"|[^,)]*(?:, [^)]*)?)\)/.exec(description)?.[1]!.replaceAll('"', ""),
      choices: [...(/choices: ([^)]*?)(?:, default|\))/.exec(description)?.[1]?.matchAll(/"([^"]+)"/g) ?? [])].map(([, choice]) => choice!),
      variable: /env: ([A-Z_]+)/.exec(description)?.[1],
    }));
}
