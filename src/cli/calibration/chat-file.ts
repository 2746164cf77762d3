// Reads calibration chats from a JSON Lines file. Each line is the body of a chat request.

import { readFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { toChat } from "../../api/from-openai.ts";
import { MediaParts } from "../../api/media-parts.ts";
import { parseChatRequest, type ChatRequest, type RequestMessage } from "../../api/openai-schema.ts";
import { RequestError, UserError } from "../../core/errors.ts";
import { readText, systemReason } from "../../core/file-system.ts";
import { createMediaReader } from "../../media/media-reader.ts";
import type { CalibrationChat } from "./calibration-chat.ts";

const limits = {
  imageCount: 64,
  imageBytes: 64 * 2 ** 20,
  videoCount: 0,
  frameCount: 0,
  videoBytes: 0,
  documentCount: 16,
  documentBytes: 64 * 2 ** 20,
  mediaBytes: Infinity,
};
const noRemoteMedia = createMediaReader({ domains: [], folders: [] });

/**
 * Pictures are data URIs or paths relative to the file. Empty lines are skipped. Throws a UserError that names the file and the faulty
 * line.
 */
export async function readChatFile(path: string): Promise<CalibrationChat[]> {
  const chats: CalibrationChat[] = [];
  for (const [index, line] of readText(path).split("\n").entries()) {
    const place = `${path}, line ${index + 1}`;
    if (line.trim() !== "") chats.push({ chat: await readChat(line, path, place), place });
  }
  if (chats.length > 0) return chats;
  throw new UserError(`${path}: expected a chat on each line, got an empty file; write lines such as {"messages": [...]}`);
}

async function readChat(line: string, path: string, place: string): Promise<CalibrationChat["chat"]> {
  try {
    const request = parseChatRequest(parseObject(line));
    return await toChat(embedPictures(request, dirname(path)), false, new MediaParts(limits, noRemoteMedia, new AbortController().signal));
  } catch (error) {
    if (error instanceof RequestError) throw new UserError(`${place}: ${error.message}`, { cause: error });
    throw error;
  }
}

function parseObject(line: string): object {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new RequestError(`expected JSON, got other text (${(error as Error).message.replaceAll(/\s+/g, " ")})`, { cause: error });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new RequestError(`expected an object such as {"messages": [...]}, got ${JSON.stringify(value).slice(0, 40)}`);
}

/** Replaces paths of pictures with data URIs. */
function embedPictures(request: ChatRequest, folder: string): ChatRequest {
  return { ...request, messages: request.messages.map((message) => embedInMessage(message, folder)) };
}

function embedInMessage(message: RequestMessage, folder: string): RequestMessage {
  if (!Array.isArray(message.content)) return message;
  const content = message.content.map((part) => {
    if (part.type !== "image_url") return part;
    const image = typeof part.image_url === "string" ? { url: part.image_url, detail: undefined } : part.image_url;
    return { ...part, image_url: { ...image, url: embed(image.url, folder) } };
  });
  return { ...message, content };
}

function embed(url: string, folder: string): string {
  if (/^\s*[a-z][a-z0-9+.-]+:/i.test(url)) return url;
  try {
    return `data:;base64,${readFileSync(resolve(folder, url)).toString("base64")}`;
  } catch (error) {
    throw new RequestError(`cannot read the picture ${basename(url)}: ${systemReason(error)}`, { cause: error });
  }
}
