// Loads shared libraries, and never lets go of them.

import koffi, { type LibraryHandle } from "koffi";

/** A library whose object is collected is unloaded under the function pointers that were taken from it. */
const loaded: LibraryHandle[] = [];

/** Throws the loader's message when the file, or one that it needs, is not found. */
export function loadLibrary(nameOrPath: string): LibraryHandle {
  const library = koffi.load(nameOrPath);
  loaded.push(library);
  return library;
}
