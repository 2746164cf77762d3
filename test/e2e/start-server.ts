// Starts the compiled program as a user would and talks to it over its port.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";

const root = fileURLToPath(new URL("../..", import.meta.url));
const entry = "dist/main.js";
export const modelFolder = `${root}models/ernie-vl-nano`;

export type RunningServer = {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly client: OpenAI;
  health(): Promise<{ status: string; running: number; waiting: number }>;
  /** What was told to the operator so far. */
  printed(): string;
  /** The structured log so far. */
  logLines(): Record<string, unknown>[];
  /** What else the program wrote beside its log, such as warnings of Node. */
  strayLines(): string[];
  readonly pid: number;
  /** Ends the server as an operator would; returns its exit code. */
  stop(): Promise<number | null>;
  /** Sends a signal, and does not wait. */
  kill(signal: NodeJS.Signals): void;
  /** How the program ended by itself, or by a signal. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
};

/** `npm start` with a free port and further arguments. Rejects with what the program printed when it does not come up. */
export async function startServer(
  args: readonly string[] = [],
  apiKey = "unused",
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningServer> {
  if (!existsSync(`${root}${entry}`)) throw new Error(`${entry} is missing; run \`npm run build\` first`);
  const child = spawn(process.execPath, [entry, "serve", "--port", "0", ...args], {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let printed = "";
  let log = "";
  const exited = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
      const address = /Listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(printed)?.[1];
      if (address) resolve(address);
    });
    child.once("close", (code) => reject(new Error(`the server ended with code ${code}:\n${printed}${log}`)));
  });
  return {
    url,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 }),
    health: async () => (await fetch(`${url}/health`)).json() as ReturnType<RunningServer["health"]>,
    printed: () => printed,
    logLines: () =>
      wholeLines(log)
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    strayLines: () => wholeLines(log).filter((line) => line !== "" && !line.startsWith("{")),
    pid: child.pid!,
    kill: (signal) => void child.kill(signal),
    ended: exited.then(([code, signal]) => ({ code, signal })),
    stop: async () => {
      child.kill("SIGTERM");
      const [code] = await exited;
      return code;
    },
  };
}

/** The last one may still be on its way. */
function wholeLines(text: string): string[] {
  return text.split("\n").slice(0, -1);
}
