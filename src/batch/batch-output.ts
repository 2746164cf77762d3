// The answers of a batch, one a line in the order in which they come: what an earlier run wrote, and what is added.

import { existsSync } from "node:fs";
import { appendFile, open, truncate, type FileHandle } from "node:fs/promises";
import { UserError } from "../core/errors.ts";
import { writeError } from "../core/file-system.ts";
import { membersOf, parseJson } from "../core/parse-json.ts";
import { readLines } from "./read-lines.ts";

/** One line, as OpenAI's Batch API writes it. */
export type BatchResult = {
  readonly id: string;
  readonly custom_id: string;
  /** Null where no HTTP answer came. */
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: unknown } | null;
  /** Null where one came, whatever it was. */
  readonly error: { readonly code: string; readonly message: string } | null;
};

export type EarlierResults = {
  readonly customIds: ReadonlySet<string>;
  /** Where a last line begins that a kill left unfinished; undefined: all are whole. */
  readonly tornAtByte: number | undefined;
  /** The last line is whole, but nothing ends it. */
  readonly lacksLineBreak: boolean;
};

/** How each line that we write begins. */
const lineStart = '{"id":"batch_req_';

/** Changes nothing. Throws a UserError for a file that holds anything else: it is not ours to add to. */
export async function readResults(file: string): Promise<EarlierResults> {
  const customIds = new Set<string>();
  let lacksLineBreak = false;
  if (!existsSync(file)) return { customIds, tornAtByte: undefined, lacksLineBreak };
  for await (const { number, text, startByte, isEnded } of readLines(file)) {
    if (text.trim() === "") continue;
    const value = membersOf(parseJson(text));
    const customId = value["custom_id"];
    if (typeof customId !== "string" || !("response" in value)) {
      const isTorn = !isEnded && (text.startsWith(lineStart) || lineStart.startsWith(text));
      if (isTorn) return { customIds, tornAtByte: startByte, lacksLineBreak };
      throw new UserError(`${file}, line ${number}: not a result of an earlier run; choose another file to write to`);
    }
    customIds.add(customId);
    lacksLineBreak = !isEnded;
  }
  return { customIds, tornAtByte: undefined, lacksLineBreak };
}

/** Makes the file one that lines can be added to: an unfinished one is cut off. Throws UserError when it cannot be written. */
export async function mend(file: string, { tornAtByte, lacksLineBreak }: EarlierResults): Promise<void> {
  if (tornAtByte !== undefined) await writing(file, () => truncate(file, tornAtByte));
  else await writing(file, () => appendFile(file, lacksLineBreak ? "\n" : ""));
}

/** A file of lines that is added to. A line whose `add` has ended survives a kill and a failure of power. */
export class LineFile {
  readonly #path: string;
  #file: FileHandle | undefined;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  /** A write may have ended within a line: nothing may stand behind that. */
  #failure: unknown;

  /** Made with the first line, if it does not exist. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Throws UserError when it cannot be written, or could not be before. */
  add(value: object): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting.push(`${JSON.stringify(value)}\n`);
    this.#writing ??= this.#writeAll();
    return this.#writing;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** What came while the disk was busy goes with the next write: lines share the time that a disk takes. */
  async #writeAll(): Promise<void> {
    try {
      this.#file ??= await writing(this.#path, () => open(this.#path, "a"));
      while (this.#waiting.length > 0) {
        const lines = this.#waiting.splice(0).join("");
        await writing(this.#path, async () => {
          await this.#file!.appendFile(lines);
          await this.#file!.datasync();
        });
      }
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#writing = undefined; // here, and not in a later turn: a line that came in between would wait for the next one
    }
  }
}

async function writing<Result>(path: string, action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    throw writeError(path, error);
  }
}
