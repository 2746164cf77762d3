// Runs a program that reads one file, as a child process without shell or environment: ffmpeg, or a decoder of pictures.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";

/** The tool failed. `messages` is its output, for diagnosis only: no client may see it. */
export class ToolError extends Error {
  override readonly name = "ToolError";
  readonly messages: string;

  constructor(tool: string, messages: string) {
    super(`${tool} failed`);
    this.messages = messages;
  }
}

/** The tool was killed because it took too much memory. */
export class ToolMemoryError extends Error {
  override readonly name = "ToolMemoryError";
}

/** How often the memory of a running tool is looked at. ffmpeg can take half a gigabyte more in a second. */
const lookMs = 50;
const keptMessages = 4096;

type ToolOptions = {
  readonly signal: AbortSignal;
  readonly maxMemoryBytes: number;
  /** For its standard input; default: nothing. */
  readonly input?: Uint8Array;
};

/**
 * The program's standard output as it arrives; a slow reader slows the program down. The program is killed when the signal aborts (throws its
 * reason), when it has too much memory (throws ToolMemoryError) and when the reader stops early. Throws ToolError when the exit status is not 0,
 * and the system's error when it does not start.
 */
export async function* runTool(
  path: string,
  args: readonly string[],
  { signal, maxMemoryBytes, input }: ToolOptions,
): AsyncGenerator<Buffer, void> {
  signal.throwIfAborted();
  const child = spawn(path, args, { env: {}, cwd: "/" });
  const status = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  status.catch(() => {}); // awaited below, unless reading fails first
  if (child.pid === undefined) await status; // rejects: the program did not start, and without a free file descriptor it has no streams either
  child.stdin.on("error", () => {}).end(input); // one that ends early need not have read it
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  let hasTooMuchMemory = false;
  const looking = setInterval(() => {
    void memoryOf(child.pid).then((bytes) => {
      if (bytes <= maxMemoryBytes) return;
      hasTooMuchMemory = true;
      kill();
    });
  }, lookMs);
  let messages = "";
  child.stderr.setEncoding("latin1").on("data", (text: string) => (messages = (messages + text).slice(-keptMessages)));
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const code = await status;
    signal.throwIfAborted();
    if (hasTooMuchMemory) throw new ToolMemoryError();
    if (code !== 0) throw new ToolError(path, messages);
  } finally {
    clearInterval(looking);
    signal.removeEventListener("abort", kill);
    kill();
  }
}

/** Bytes of memory that a process occupies; 0 where the system does not tell (any but Linux), or when it has ended. */
async function memoryOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
}
