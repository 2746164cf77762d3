// The requests of a batch, as OpenAI's Batch API writes them: one a line, {"custom_id", "method", "url", "body"}.

import { convertToUtf8 } from "../client/file-data.ts";
import { UserError } from "../core/errors.ts";
import { membersOf, parseJson } from "../core/parse-json.ts";
import { type FileFolder, fileReferences } from "./file-references.ts";
import { readLines } from "./read-lines.ts";

export type BatchRequest = {
  readonly customId: string;
  /** Below the server's address, such as `/v1/chat/completions`. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
};

export type CheckedInput = {
  /** The line of each custom_id. */
  readonly lines: ReadonlyMap<string, number>;
  /** Names of models, each with the first line that asks for it. */
  readonly models: ReadonlyMap<string, number>;
};

const paths = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"];

/** Told at once, so that not every mistake costs a start. */
const mostProblems = 10;

/**
 * Reads the whole file and keeps only names of it. `folder` is the one that files may be read from. Throws a UserError that names the first
 * lines that cannot be sent.
 */
export async function checkInput(file: string, folder: FileFolder | undefined): Promise<CheckedInput> {
  const lines = new Map<string, number>();
  const models = new Map<string, number>();
  const problems: string[] = [];
  for await (const { number, text, isUtf8 } of readLines(file)) {
    if (text.trim() === "") continue;
    try {
      if (!isUtf8) throw new UserError(`expected UTF-8, got another encoding; ${convertToUtf8}`);
      const { customId, body } = parseRequest(text);
      const before = lines.get(customId);
      if (before !== undefined) throw new UserError(`custom_id ${quote(customId)} is already used in line ${before}`);
      lines.set(customId, number);
      await checkFiles(body, folder);
      const { model } = body;
      if (typeof model === "string" && !models.has(model)) models.set(model, number);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(`line ${number}: ${error.message}`);
      if (problems.length === mostProblems) break;
    }
  }
  if (problems.length > 0) throw new UserError([`${file} has invalid requests, nothing was sent:`, ...problems].join("\n  "));
  if (lines.size === 0) throw new UserError(`${file} contains no requests`);
  return { lines, models };
}

/** The requests again, each as its turn comes. Throws UserError when the file was changed meanwhile. */
export async function* readRequests(file: string): AsyncGenerator<BatchRequest> {
  for await (const { number, text } of readLines(file)) {
    if (text.trim() === "") continue;
    try {
      yield parseRequest(text);
    } catch (error) {
      throw new UserError(`${file} was changed during the run; line ${number}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function parseRequest(text: string): BatchRequest {
  const value = parseJson(text.replace(/^\uFEFF/, "")); // Windows begins files with it
  const { custom_id: customId, method, url, body } = membersOf(value);
  if (value === undefined) throw new UserError(`expected JSON, got ${quote(text.trim())}`);
  if (typeof customId !== "string" || customId === "") throw expected("custom_id", "a non-empty string", customId);
  if (method !== "POST") throw expected("method", '"POST"', method);
  if (typeof url !== "string" || !paths.includes(url)) throw expected("url", `one of ${paths.join(", ")}`, url);
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw expected("body", "an object", body);
  const { stream } = membersOf(body);
  if (stream === true) throw expected("body.stream", "false or nothing, as batches do not stream", stream);
  return { customId, path: url, body: body as Record<string, unknown> };
}

async function checkFiles(body: BatchRequest["body"], folder: FileFolder | undefined): Promise<void> {
  for (const reference of fileReferences(body)) {
    if (folder) await folder.check(reference);
    else if (!/^file:/i.test(reference.name)) {
      const { where, name } = reference;
      throw new UserError(`${where}: ${quote(name)} is not a URL; to send local files, allow their folder with --files DIR`);
    }
  }
}

function expected(field: string, what: string, got: unknown): UserError {
  return new UserError(`${field}: expected ${what}, got ${got === undefined ? "nothing" : quote(JSON.stringify(got))}`);
}

function quote(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
