// Loads shared libraries and keeps them loaded.

import koffi, { type LibraryHandle } from "koffi";
import { UserError } from "../core/errors.ts";

// koffi runs native code on its own stacks; building a session recurses deeper than their default size allows.
koffi.config({ sync_stack_size: 8 << 20, sync_heap_size: 1 << 20 });

/** A library whose object is collected is unloaded under the function pointers that were taken from it. */
const loaded: LibraryHandle[] = [];

/** Null: what the process has loaded already. Throws the loader's message when the file, or one that it needs, is not found. */
export function loadLibrary(nameOrPath: string | null): LibraryHandle {
  const library = koffi.load(nameOrPath);
  loaded.push(library);
  return library;
}

/** As loadLibrary(), for a file that is needed: a UserError says why the system cannot load it, and gives `advice`. */
export function requireLibrary(path: string, advice: string): LibraryHandle {
  try {
    return loadLibrary(path);
  } catch (error) {
    const reason = (error as Error).message.replace(/^Failed to load shared library: /, "");
    throw new UserError(`${path} cannot be loaded (${reason}); ${advice}`, { cause: error });
  }
}

/** The C library of the process. */
export const cLibrary = loadLibrary(process.platform === "win32" ? "ucrtbase.dll" : null);

/** Sets a variable of the process's environment, where native code sees it: a worker's `process.env` is a copy. */
export function setNativeVariable(name: string, value: string): void {
  if (process.platform === "win32") cLibrary.func("int _putenv_s(const char *name, const char *value)")(name, value);
  else cLibrary.func("int setenv(const char *name, const char *value, int overwrite)")(name, value, 1);
}
