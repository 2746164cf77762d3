// The cache of converted checkpoints. A folder's name changes whenever the conversion would give another result.

import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";

import { isAbsolute, join, resolve } from "node:path";
import { checkpointName } from "../core/checkpoint-name.ts";
import { UserError } from "../core/errors.ts";
import { homeFolder, reading } from "../core/file-system.ts";
import { manifestFormatVersion, type ConversionSettings } from "../core/manifest.ts";

/** Larger than any real header, so that a corrupt length cannot make us read too much. */
const maxHeaderBytes = 100_000_000;

/** File systems allow 255 bytes, also for what is added for settings, hash and work folder. */
const maxNameBytes = 150;

/**
 * `<cache>/<checkpoint>-<weights>-<activations>-<12 hex digits>`. The digits are a hash of the checkpoint's content (not of its path), the
 * settings, the format and `programVersion`.
 */
export function cacheFolderFor(
  checkpointFolder: string,
  { weights, activations, experts }: ConversionSettings,
  programVersion: string,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([weights, activations, experts, manifestFormatVersion, programVersion]));
  hash.update(hashCheckpoint(checkpointFolder));
  const name = Buffer.from(checkpointName(checkpointFolder)) // in any script; a character that is cut becomes U+FFFD
    .toString("utf8", 0, maxNameBytes)
    .replaceAll(/[^\p{L}\p{M}\p{N}_.-]/gu, "_");
  return join(cacheRoot(env), `${name}-${weights}-${activations}-${hash.digest("hex").slice(0, 12)}`);
}

/**
 * A hash, in hex, of what the checkpoint's files hold; it does not depend on the folder's path. Weights are too large to hash, so their
 * size, modification time and header stand for them. Throws a UserError when a file cannot be read.
 */
export function hashCheckpoint(folder: string): string {
  const hash = createHash("sha256");
  for (const name of checkpointFiles(folder)) {
    const path = join(folder, name);
    const isWeights = name.endsWith(".safetensors");
    reading(path, () => {
      const { size, mtimeMs } = statSync(path);
      hash.update(JSON.stringify([name, size, isWeights ? Math.trunc(mtimeMs) : 0]));
      hash.update(isWeights ? readHeader(path) : readFileSync(path));
    });
  }
  return hash.digest("hex");
}

/**
 * $ERNIE_VL_CACHE, else ernie-vl in the user's cache folder (XDG Base Directory Specification: relative paths are ignored). Throws a
 * UserError when there is neither.
 */
export function cacheRoot(env: NodeJS.ProcessEnv): string {
  if (env["ERNIE_VL_CACHE"]) return resolve(env["ERNIE_VL_CACHE"]);
  const userCache = env["XDG_CACHE_HOME"];
  if (userCache && isAbsolute(userCache)) return join(userCache, "ernie-vl");
  const home = homeFolder();
  if (home === undefined) throw new UserError("there is no home folder to cache conversions in; set ERNIE_VL_CACHE to a folder");
  return join(home, ".cache", "ernie-vl");
}

/** The files that a conversion depends on, in a fixed order. */
function checkpointFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /\.(safetensors|json|jinja|model)$/.test(name) && statSync(join(folder, name), { throwIfNoEntry: false })?.isFile())
    .toSorted();
}

function readHeader(path: string): Uint8Array {
  const fd = openSync(path, "r");
  try {
    const length = Buffer.alloc(8);
    readSync(fd, length);
    const header = Buffer.alloc(Math.min(Number(length.readBigUInt64LE()), maxHeaderBytes, statSync(path).size));
    return header.subarray(0, readSync(fd, header));
  } finally {
    closeSync(fd);
  }
}
