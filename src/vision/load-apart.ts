// Loads a picture in a process of its own, which can be killed. Ending a thread does not end native code: the decoder goes on, on one of the four
// threads that also read files for everyone. A file of 20 MB can keep these decoders busy for hours, where they check no limit of time.

import { fileURLToPath } from "node:url";
import { deserialize, serialize } from "node:v8";
import { RequestError, toRefusal } from "../core/errors.ts";
import type { ImagePatches } from "../core/prompt.ts";
import { tooManyPixels } from "./decode-image.ts";
import { sniffFormat } from "./image-format.ts";
import type { ImageTask, TaskResult } from "./image-task.ts";
import { takePixels } from "./pixel-budget.ts";
import { runTool, ToolMemoryError } from "./run-tool.ts";

/** 40 megapixels of AVIF with transparency take half of it. */
const maxMemoryBytes = 1.5 * 2 ** 30;
const program = fileURLToPath(new URL("./image-process.js", import.meta.url));

const animationFlag = 2;

/** Formats in which a file holds any number of pictures that the decoder looks at: frames behind the first one, or directories of them. */
export function needsProcess(file: Uint8Array): boolean {
  const format = sniffFormat(file);
  const isAnimatedWebp =
    format === "webp" && Buffer.from(file.subarray(12, 16)).toString("latin1") === "VP8X" && (file[20]! & animationFlag) !== 0;
  return format === "avif" || format === "tiff" || isAnimatedWebp;
}

/** Throws the signal's reason when it aborts, and ToolError when the decoder crashes. Needs the compiled program, so it works from dist/ only. */
export async function loadApart(task: ImageTask, signal: AbortSignal): Promise<TaskResult<ImagePatches>> {
  const { pixelBudget: shared, param } = task.request;
  const own = shared && new BigInt64Array(shared); // the process shares no memory
  const input = serialize({ ...task, request: { ...task.request, pixelBudget: own } });
  const pieces: Buffer[] = [];
  try {
    for await (const piece of runTool(process.execPath, [program], { signal, maxMemoryBytes, input })) pieces.push(piece);
  } catch (error) {
    if (error instanceof ToolMemoryError) return refused(tooMuchMemory(param));
    throw error;
  }
  const { result, pixelsLeft } = deserialize(Buffer.concat(pieces)) as { result: TaskResult<ImagePatches>; pixelsLeft?: bigint };
  // Others of the request may have taken them meanwhile.
  if (!shared || takePixels(shared, Number(own![0]! - pixelsLeft!)) || result.type === "refused") return result;
  return refused(tooManyPixels(param));
}

function refused(error: RequestError): TaskResult<never> {
  return { type: "refused", ...toRefusal(error) };
}

function tooMuchMemory(param: string): RequestError {
  const message = `the image takes more than ${maxMemoryBytes / 2 ** 20} MiB of memory to decode; scale it down or save it in another format`;
  return new RequestError(message, { code: "image_parse_error", param });
}
