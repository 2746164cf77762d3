// Entry of a pool thread: runs one task at a time and hands the patches over without copying them.

import { move, transferableSymbol, valueSymbol } from "piscina";
import sharp from "sharp";
import { runImageTask, type ImageResult, type ImageTask } from "./image-task.ts";

sharp.cache(false); // every picture is new: a cache of decoded ones only holds memory

export default async function work(task: ImageTask): Promise<unknown> {
  const result: ImageResult = await runImageTask(task);
  if (result.type === "refused") return result;
  return move({ [transferableSymbol]: [result.image.patches.buffer], [valueSymbol]: result });
}
