// Lines of a file of any size. (Node's readline also ends a line at U+2028, which JSON may contain.)

import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { UserError } from "../core/errors.ts";
import { systemReason } from "../core/file-system.ts";

const pieceBytes = 2 ** 20;

/** Longer ones do not fit into the request of any server, and a file that has no lines must not fill the memory. */
const maxLineBytes = 2 ** 28;

type Line = {
  /** From 1. */
  readonly number: number;
  readonly text: string;
  /** Else the text has U+FFFD in place of other bytes. */
  readonly isUtf8: boolean;
  /** Where it begins in the file. */
  readonly startByte: number;
  /** Whether a line break follows. */
  readonly isEnded: boolean;
};

/** Without line breaks; empty ones too. Throws UserError when the file cannot be read, or a line is too long. */
export async function* readLines(path: string): AsyncGenerator<Line> {
  let pieces: Buffer[] = [];
  let length = 0;
  let number = 1;
  let startByte = 0;
  const take = (end: Buffer, isEnded: boolean): Line => {
    const bytes = Buffer.concat([...pieces, end]);
    const line = { number: number++, text: bytes.toString("utf8"), isUtf8: isUtf8(bytes), startByte, isEnded };
    startByte += length + end.length + 1;
    pieces = [];
    length = 0;
    return line;
  };
  const stream = createReadStream(path, { highWaterMark: pieceBytes });
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = piece.indexOf(lineBreak); end >= 0; end = piece.indexOf(lineBreak, start)) {
        yield take(piece.subarray(start, end), true);
        start = end + 1;
      }
      const rest = piece.subarray(start);
      length += rest.length;
      if (rest.length > 0) pieces.push(rest);
      if (length > maxLineBytes) throw new UserError(`${path}, line ${number}: longer than ${maxLineBytes / 2 ** 20} MiB`);
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot read ${path}: ${systemReason(error)}`, { cause: error });
  }
  if (length > 0) yield take(Buffer.alloc(0), false);
}

const lineBreak = 10;
