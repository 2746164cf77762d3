// Frees at once what nothing refers to any more.

import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export async function collectGarbage(): Promise<void> {
  await setImmediate(); // what a WeakRef was just made of, or has just given, stays until then
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
