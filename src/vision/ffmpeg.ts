// The ffmpeg of the system: found once, run as a child process that sees one file, no shell, no network and no environment.

import { execFile, spawn } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

export type Ffmpeg = { readonly ffmpegPath: string; readonly ffprobePath: string; readonly version: string };

/** The tool ended with an error, which `messages` tells of: for us to look into, never for a client to see. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  readonly messages: string;

  constructor(tool: string, messages: string) {
    super(`${tool} failed`);
    this.messages = messages;
  }
}

const versionTimeoutMs = 10_000;
const keptMessages = 4096;

/** Both programs from `searchPath` (default: the environment's), or undefined where one is missing or does not run. */
export async function findFfmpeg(searchPath = process.env.PATH ?? ""): Promise<Ffmpeg | undefined> {
  const [ffmpegPath, ffprobePath] = await Promise.all([findProgram("ffmpeg", searchPath), findProgram("ffprobe", searchPath)]);
  if (ffmpegPath === undefined || ffprobePath === undefined) return undefined;
  try {
    const { stdout } = await promisify(execFile)(ffmpegPath, ["-version"], { env: {}, timeout: versionTimeoutMs });
    const version = /^ffmpeg version (\S+)/.exec(stdout)?.[1];
    return version === undefined ? undefined : { ffmpegPath, ffprobePath, version };
  } catch {
    return undefined;
  }
}

async function findProgram(name: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === "") continue; // would be the working folder
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/**
 * What the program writes to its standard output, as it comes; whoever reads slowly holds it up. It is killed when the signal aborts
 * (throws its reason) and when the reader stops early. Throws ToolError when it ends with a status other than 0.
 */
export async function* runTool(path: string, args: readonly string[], signal: AbortSignal): AsyncGenerator<Buffer, void> {
  signal.throwIfAborted();
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"], env: {}, cwd: "/" });
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let messages = "";
  child.stderr.setEncoding("latin1").on("data", (text: string) => (messages = (messages + text).slice(-keptMessages)));
  const status = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  status.catch(() => {}); // awaited below, if we come that far
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const code = await status;
    signal.throwIfAborted();
    if (code !== 0) throw new ToolError(path, messages);
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
  }
}
