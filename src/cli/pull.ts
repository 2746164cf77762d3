// `ernie-vl pull`: a checkpoint from a Hugging Face hub into a folder. The only command that uses the network by itself.

import { join, relative, resolve } from "node:path";
import { checkShardNames } from "../convert/check-index.ts";
import { InterruptedError } from "../core/errors.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { readHubAccess } from "../pull/hub-access.ts";
import { missingBytes, type PullPlan } from "../pull/pull-plan.ts";
import { recordFileName } from "../pull/pull-record.ts";
import { pullRepository } from "../pull/pull-repository.ts";
import { isWeights, type Listing } from "../pull/repository-files.ts";
import { parseRepositoryName } from "../pull/repository-name.ts";
import { FileLock } from "../runtime/file-lock.ts";
import { checkCompanions } from "./check-companions.ts";
import { PullProgress } from "./pull-progress.ts";
import { shellWord } from "../core/shell-word.ts";

export type PullOptions = {
  /** `owner/name` on the hub. */
  readonly repo: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Undefined: a folder of the repository's name in the current one. */
  readonly out: string | undefined;
};

/** Downloads and verifies the files of a checkpoint, resuming an earlier run. Throws a UserError if that fails or is stopped. */
export async function pull(options: PullOptions, say: (line: string) => void): Promise<void> {
  const repository = parseRepositoryName(options.repo);
  const folder = resolve(options.out ?? repository.name);
  const shown = relative("", folder).startsWith("..") ? folder : relative("", folder) || ".";
  const access = readHubAccess(process.env);
  const abort = new AbortController();
  const stop = (): void =>
    abort.abort(new InterruptedError(`stopped; run the same command again to resume (what has arrived is kept in ${shown})`));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  let progress: PullProgress | undefined;
  let held: FileLock | undefined;
  const note = (line: string): void => (progress ? progress.note(line) : say(`  ${line}`));
  const lock = (): void => {
    if (held) return;
    held = FileLock.take(join(folder, recordFileName));
    if (!held.isExclusive) note("this file system has no locks: do not pull into the same folder from two runs at once");
  };
  say(`Asking ${access.endpoint} for ${options.repo}, revision ${options.revision}`);
  try {
    await pullRepository(
      { repository, revision: options.revision, folder, access, signal: abort.signal, inspect, lock },
      {
        note,
        planned: (listing, plan, freeBytes) => {
          for (const line of describePlan(listing, plan, freeBytes, shown)) say(line);
          if (plan.missing.length > 0) progress = new PullProgress(plan.missing, say);
        },
        started: (file) => progress?.started(file),
        progressed: (file, bytes) => progress?.progressed(file, bytes),
        finished: (file) => progress?.finished(file),
      },
    );
  } finally {
    progress?.stop();
    held?.release();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
  say(`Complete and verified. Serve it with: ernie-vl serve --model ${shellWord(shown)}`);
}

function inspect(folder: string, weights: readonly string[]): void {
  checkCompanions(folder);
  checkShardNames(folder, weights);
}

function describePlan({ commit, files, leftOut }: Listing, plan: PullPlan, freeBytes: number | undefined, shown: string): string[] {
  const weights = files.filter(({ name }) => isWeights(name));
  const arrived = plan.missing.reduce((sum, { arrivedBytes }) => sum + arrivedBytes, 0);
  const replaced = plan.missing.filter(({ replaces }) => replaces).map(({ file }) => file.name);
  const free = freeBytes === undefined ? "" : `, ${formatBytes(freeBytes)} free on its disk`;
  return [
    `Commit ${commit}: ${countFiles(files.length)}, ${formatBytes(sumBytes(files))} (weights: ${countFiles(weights.length)}, ${formatBytes(sumBytes(weights))})`,
    ...(leftOut.count > 0 ? [`  not needed, skipped: ${countFiles(leftOut.count)}, ${formatBytes(leftOut.bytes)}`] : []),
    ...(plan.complete.length > 0 ? [`  already there: ${countFiles(plan.complete.length)}, ${formatBytes(sumBytes(plan.complete))}`] : []),
    ...(arrived > 0 ? [`  already downloaded by an earlier run: ${formatBytes(arrived)}`] : []),
    ...(replaced.length > 0 ? [`  different from the hub's, will be replaced: ${replaced.join(", ")}`] : []),
    `  to download: ${formatBytes(missingBytes(plan))} to ${shown}${free}`,
  ];
}

function sumBytes(files: readonly { readonly bytes: number }[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function countFiles(count: number): string {
  return count === 1 ? "1 file" : `${count} files`;
}
