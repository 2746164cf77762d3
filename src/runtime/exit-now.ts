// The end of the process for when a thread is inside native code that does not return: `process.exit` would wait for it.

import { cLibrary } from "./load-library.ts";

const exit = cLibrary.func("void _exit(int status)") as (status: number) => void;

/** Ends the process as it is, whatever its threads do. Nothing of JavaScript runs afterwards. */
export function exitNow(status: number): void {
  exit(status);
}
