// The name by which people know a checkpoint.

import { basename, dirname, resolve } from "node:path";

/**
 * The name of the folder; for a snapshot in the Hugging Face cache (`models--OWNER--NAME/snapshots/COMMIT`), that of the repository. ModelScope's
 * cache writes `___` for the dots of a name.
 */
export function checkpointName(folder: string): string {
  const path = resolve(folder);
  const snapshots = dirname(path);
  const repository = basename(dirname(snapshots));
  const isCached = basename(snapshots) === "snapshots" && repository.startsWith("models--");
  return isCached ? repository.split("--").at(-1)! : basename(path).replaceAll("___", ".");
}
