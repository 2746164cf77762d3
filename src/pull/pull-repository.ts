// A repository of the hub into a folder: list, compare, make sure of room, download, verify.

import { statSync } from "node:fs";
import { UserError } from "../core/errors.ts";
import { freeDiskBytes, makeFolders } from "../core/file-system.ts";
import { downloadMissing, type DownloadObserver } from "./download-missing.ts";
import { formatBytes } from "../core/format-bytes.ts";
import { toFileError } from "./file-error.ts";
import type { HubAccess } from "./hub-access.ts";
import { HubClient } from "./hub-client.ts";
import { missingBytes, planPull, removeStaleParts, type MissingFile, type PullPlan } from "./pull-plan.ts";
import { PullRecord } from "./pull-record.ts";
import { isWeights, listRepository, type Listing } from "./repository-files.ts";
import type { RepositoryName } from "./repository-name.ts";

type PullRequest = {
  readonly repository: RepositoryName;
  readonly revision: string;
  /** Absolute. */
  readonly folder: string;
  readonly access: HubAccess;
  readonly signal: AbortSignal;
  /** Called when all files but the weights are in the folder; told what those will be. What it throws ends the pull before they are fetched. */
  readonly inspect: (folder: string, weights: readonly string[]) => void;
  /** Keeps other pulls out of the folder from the first change on; called more than once. Throws a UserError while another pull is in it. */
  readonly lock: () => void;
};

export type TransferSettings = {
  readonly parallelFiles: number;
  readonly backoffMs: number;
  readonly stallMs: number;
};

/** Four connections fill most lines; more only make each file's progress slower to see and a resume larger. */
const defaultTransfer: TransferSettings = { parallelFiles: 4, backoffMs: 1000, stallMs: 60_000 };

export type PullObserver = DownloadObserver & {
  note(line: string): void;
  /** Called once, before anything is downloaded. `freeBytes` is undefined where the file system does not say. */
  planned(listing: Listing, plan: PullPlan, freeBytes: number | undefined): void;
};

/** Throws a UserError when the hub refuses, the disk is too small or something cannot be verified, and the signal's reason when aborted. */
export async function pullRepository(
  request: PullRequest,
  observer: PullObserver,
  transfer: TransferSettings = defaultTransfer,
): Promise<void> {
  try {
    await pullListed(request, observer, transfer);
  } catch (error) {
    request.signal.throwIfAborted();
    throw toFileError(request.folder, error);
  }
}

async function pullListed(
  { repository: { owner, name }, folder, revision, signal, access, inspect, lock }: PullRequest,
  observer: PullObserver,
  transfer: TransferSettings,
): Promise<void> {
  const repository = `${owner}/${name}`;
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new UserError(`${folder}: expected a folder or nothing, got a file; choose another --out`);
  }
  const record = new PullRecord(folder, repository, lock);
  const client = new HubClient(access, { repository, revision });
  const patience = { signal, backoffMs: transfer.backoffMs, note: (line: string) => observer.note(line) };
  const listing = await listRepository(access.endpoint, repository, revision, client.apiFetch(patience, transfer.stallMs));
  const plan = await planPull(folder, listing.files, record, signal, patience.note);

  if (plan.staleParts.length > 0) lock(); // another pull may be writing them
  removeStaleParts(plan);
  const freeBytes = freeDiskBytes(folder);
  observer.planned(listing, plan, freeBytes);
  if (freeBytes !== undefined && missingBytes(plan) > freeBytes) {
    throw new UserError(
      `${folder}: not enough disk space, ${formatBytes(missingBytes(plan))} needed, ${formatBytes(freeBytes)} free; free some, or choose another disk with --out`,
    );
  }

  if (plan.missing.length > 0) {
    makeFolders(folder);
    lock();
  }
  const download = (missing: readonly MissingFile[]): Promise<void> =>
    downloadMissing(folder, missing, {
      client,
      patience,
      stallMs: transfer.stallMs,
      parallelFiles: transfer.parallelFiles,
      record,
      observer,
      urlOf: (file) => `${access.endpoint}/${repository}/resolve/${listing.commit}/${encodeURIComponent(file.name)}`,
    });
  await download(plan.missing.filter(({ file }) => !isWeights(file.name)));
  inspect(folder, listing.files.map(({ name }) => name).filter(isWeights));
  await download(plan.missing.filter(({ file }) => isWeights(file.name)));
  for (const file of plan.complete) if (!record.matches(file)) record.add(file);
  for (const outdated of record.removeOutdated(listing.files)) observer.note(`${outdated} is no longer in the repository and was deleted`);
}
