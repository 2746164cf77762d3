// What a repository holds at one commit, and which of it a checkpoint needs.

import { listFiles, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { UserError } from "../core/errors.ts";

/** Of the file's bytes (large files), or of `blob <length>\0` and the bytes, as git names its objects (small files). */
type ContentHash = { readonly algorithm: "sha256" | "git-sha1"; readonly hex: string };

export type RemoteFile = {
  /** In the repository's top folder, so also the name of the local file. */
  readonly name: string;
  readonly bytes: number;
  readonly hash: ContentHash;
};

export type Listing = {
  /** The revision resolved once: all files come from this commit. */
  readonly commit: string;
  readonly files: readonly RemoteFile[];
  /** Files in the top folder that a checkpoint does not need. */
  readonly leftOut: { readonly count: number; readonly bytes: number };
};

const neededNames = new Set([
  "config.json",
  "generation_config.json",
  "model.safetensors.index.json",
  "preprocessor_config.json",
  "video_preprocessor_config.json",
  "processor_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "spm.model",
  "ernie_token_100k.model",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
]);
const weightsName = /^model[\w.-]*\.safetensors$/;
const documentName = /^(LICENSE|LICENCE|NOTICE|README)(\.(md|txt))?$/i;

const bytes = z.int().min(0);
const gitId = z.string().regex(/^[0-9a-f]{40}$/);
const info = z.object({
  sha: gitId,
  config: z.looseObject({ model_type: z.string().nullish() }).nullish(),
});
const file = z.object({
  path: z.string(),
  size: bytes,
  oid: gitId,
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: bytes }).nullish(),
});

/** Whether a file of the top folder holds weights, by its name. */
export function isWeights(name: string): boolean {
  return weightsName.test(name);
}

/** Plain names only: whatever a server lists, nothing leads out of the target folder. */
export function isNeeded(path: string): boolean {
  return neededNames.has(path) || weightsName.test(path) || documentName.test(path);
}

/** Asks the hub. Throws a UserError when it cannot answer or the repository is not an ERNIE-4.5-VL checkpoint. */
export async function listRepository(
  hubUrl: string,
  repository: string,
  revision: string,
  fetch: typeof globalThis.fetch,
): Promise<Listing> {
  try {
    const { sha: commit, config } = info.parse(
      await modelInfo({ name: repository, revision, hubUrl, fetch, additionalFields: ["sha", "config"] }),
    );
    const entries: z.infer<typeof file>[] = [];
    for await (const entry of listFiles({ repo: { type: "model", name: repository }, revision: commit, hubUrl, fetch })) {
      if (entry.type === "file") entries.push(file.parse(entry));
    }
    return checkListing(repository, config?.model_type ?? undefined, toListing(commit, entries));
  } catch (error) {
    if (!(error instanceof z.ZodError || error instanceof SyntaxError)) throw error;
    throw new UserError(`${hubUrl}: expected the answers of a Hugging Face hub, got something else; check HF_ENDPOINT`, { cause: error });
  }
}

/** A file that is listed twice would be written by two downloads at the same time. */
function toListing(commit: string, listed: readonly z.infer<typeof file>[]): Listing {
  const entries = [...new Map(listed.map((entry) => [entry.path, entry])).values()];
  const files = entries
    .filter(({ path }) => isNeeded(path))
    .map(({ path, size, oid, lfs }): RemoteFile => ({
      name: path,
      bytes: lfs?.size ?? size,
      hash: lfs ? { algorithm: "sha256", hex: lfs.oid } : { algorithm: "git-sha1", hex: oid },
    }));
  const others = entries.filter(({ path }) => !isNeeded(path));
  const sum = others.reduce((total, { size, lfs }) => total + (lfs?.size ?? size), 0);
  return { commit, files, leftOut: { count: others.length, bytes: sum } };
}

/** Better now than after 59 GB. */
function checkListing(repository: string, modelType: string | undefined, listing: Listing): Listing {
  if (modelType !== undefined && !/ernie4_5.*vl/.test(modelType)) {
    throw new UserError(`${repository}: expected an ERNIE-4.5-VL checkpoint, got model type ${JSON.stringify(modelType)}; check the name`);
  }
  const has = (wanted: (name: string) => boolean): boolean => listing.files.some(({ name }) => wanted(name));
  if (!has((name) => name === "config.json")) throw new UserError(`${repository}: expected a config.json, got none; check the name`);
  if (!has(isWeights)) throw new UserError(`${repository}: expected weights as model*.safetensors, got none; check the name`);
  return listing;
}
