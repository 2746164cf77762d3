// Where the body of a request names files of this machine, and the files in their place.

import { realpathSync, statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { maxFileBytes, toDataUri } from "../client/file-data.ts";
import { UserError } from "../core/errors.ts";
import { openInside, readBytes } from "../core/file-inside.ts";
import { reading, systemReason } from "../core/file-system.ts";
import { membersOf } from "../core/parse-json.ts";

type Holder = Record<string, unknown>;

type FileReference = {
  /** Path of the field, for messages. */
  readonly where: string;
  /** A path, or a `file:` URL. */
  readonly name: string;
  readonly holder: Holder;
  readonly key: string;
};

/** In parts of chats, with the spellings of vLLM and FastDeploy, and in items of responses. */
export function fileReferences(body: Readonly<Record<string, unknown>>): FileReference[] {
  return ["messages", "input"].flatMap((list) =>
    itemsOf(body[list]).flatMap((message, i) =>
      itemsOf(message["content"]).flatMap((part, k) => inPart(part, `${list}[${i}].content[${k}]`)),
    ),
  );
}

function inPart(part: Holder, where: string): FileReference[] {
  const inside = (key: string, inner: string) =>
    typeof part[key] === "string" ? inField(part, key, where) : inField(membersOf(part[key]) as Holder, inner, `${where}.${key}`);
  const frames = Array.isArray(part["video"]) ? (part["video"] as unknown[]) : undefined;
  return [
    ...inside("image_url", "url"),
    ...inside("video_url", "url"),
    ...inside("file", "file_data"),
    ...(frames
      ? frames.flatMap((_, i) => inField(frames as unknown as Holder, String(i), `${where}.video`))
      : inField(part, "video", where)),
    ...inField(part, "file_data", where),
    ...inField(part, "file_url", where),
  ];
}

function inField(holder: Holder, key: string, where: string): FileReference[] {
  const value = holder[key];
  if (typeof value !== "string" || value === "") return [];
  const scheme = /^\s*([a-z][a-z\d+.-]+):/i.exec(value)?.[1]?.toLowerCase();
  const isFile = scheme === "file" || (scheme === undefined && (key !== "file_data" || isNoBase64(value)));
  return isFile ? [{ where: `${where}.${key}`, name: value, holder, key }] : [];
}

/** Bare base64 may stand where a path may; it has no dot, and the names of files have one. */
const isNoBase64 = (text: string): boolean => text.slice(0, 4096).includes(".");

function itemsOf(value: unknown): Holder[] {
  return Array.isArray(value) ? (value as unknown[]).map((item) => membersOf(item) as Holder) : [];
}

/** The one folder that a file of requests, which others may have written, can name files of. */
export class FileFolder {
  readonly #path: string;

  /** Throws UserError when there is no such folder. */
  constructor(folder: string) {
    const isFolder = reading(folder, () => statSync(folder, { throwIfNoEntry: false })?.isDirectory());
    if (!isFolder) throw new UserError(`--files: ${folder} is not a folder`);
    this.#path = realpathSync(folder);
  }

  /** Throws a UserError that says why the file cannot be sent. */
  async check(reference: FileReference): Promise<void> {
    const { handle } = await this.#open(reference);
    await handle.close();
  }

  /** Puts the file's content where its name is. Throws UserError as `check` does. */
  async fill(reference: FileReference): Promise<void> {
    const { handle, bytes, path } = await this.#open(reference);
    try {
      put(reference, path, toDataUri(path, await readBytes(handle, bytes)));
    } finally {
      await handle.close();
    }
  }

  async #open({ where, name }: FileReference): Promise<{ handle: FileHandle; bytes: number; path: string }> {
    const fail = (reason: string, cause?: unknown) => new UserError(`${where}: cannot read ${JSON.stringify(name)}: ${reason}`, { cause });
    let path: string;
    let handle: FileHandle;
    try {
      path = /^file:/i.test(name) ? fileURLToPath(name) : resolve(this.#path, name);
      handle = await openInside(path, [this.#path]);
    } catch (error) {
      throw fail(systemReason(error).replace("outside the allowed folders", `it is outside ${this.#path}`), error);
    }
    const stats = await handle.stat();
    if (stats.isFile() && stats.size <= maxFileBytes) return { handle, bytes: stats.size, path };
    await handle.close();
    throw fail(stats.isFile() ? `it is larger than ${maxFileBytes / 2 ** 20} MiB` : "it is not a file");
  }
}

function put({ holder, key }: FileReference, path: string, data: string): void {
  const isDocument = key === "file_data" || key === "file_url";
  if (key === "file_url") delete holder[key]; // beside file_data it would be refused
  holder[isDocument ? "file_data" : key] = data;
  if (isDocument) holder["filename"] ??= basename(path);
}
