// Files that a person drops, pastes or chooses, as attachments of a message.

import type { Attachment } from "../chat/conversation.ts";
import { createId } from "../chat/create-id.ts";

/** What the server takes of one picture (`imageBytes` in src/api/app-options.ts). */
export const maxPictureBytes = 20 * 2 ** 20;

/** The server takes requests of 64 MiB, in which a video is a third larger than its file. */
export const maxVideoBytes = 47 * 2 ** 20;

/** `maxSourcePixels` in src/vision/decode-image.ts; telephones make pictures of 50 to 200 megapixels. */
export const maxPicturePixels = 40_000_000;

/** The files of a clipboard, and whether it has text beside them: office programs copy words with a picture of them, and a file has its name. */
export function pastedFrom(clipboard: DataTransfer | null): { readonly files: readonly File[]; readonly hasText: boolean } {
  const files = [...(clipboard?.files ?? [])];
  const isName = (line: string) => files.some(({ name }) => name === line.split(/[\\/]/).at(-1));
  const lines = clipboard?.getData("text/plain").split(/\r?\n/) ?? [];
  return { files, hasText: !lines.every((line) => line === "" || isName(line)) };
}

type ReadFiles = {
  readonly attachments: Attachment[];
  /** Why some were not taken. */
  readonly refusals: string[];
};

/** Reads the pictures, and the videos where the model takes any. Pictures beyond the server's limit are made smaller. */
export async function readFiles(files: readonly File[], takesVideo: boolean): Promise<ReadFiles> {
  const read: ReadFiles = { attachments: [], refusals: [] };
  for (const file of files) {
    const kind = kindOf(file);
    if (kind === undefined) read.refusals.push(`${file.name} is no picture${takesVideo ? " and no video" : ""}.`);
    else if (file.size === 0) read.refusals.push(`${file.name} is empty.`);
    else if (kind === "video" && !takesVideo) read.refusals.push(`${file.name} is a video, which this model does not take.`);
    else if (kind === "video" && file.size > maxVideoBytes)
      read.refusals.push(`${file.name} is larger than ${maxVideoBytes / 2 ** 20} MiB; cut it, or make it smaller.`);
    else {
      try {
        read.attachments.push(await toAttachment(file, kind));
      } catch {
        read.refusals.push(`${file.name} could not be read.`);
      }
    }
  }
  return read;
}

export async function toAttachment(file: File, kind: Attachment["kind"]): Promise<Attachment> {
  const fitting = kind === "image" && (await isTooLarge(file)) ? await shrink(file, maxPictureBytes) : file;
  return { id: createId(), kind, name: file.name || "pasted.png", url: await toDataUri(fitting) };
}

function kindOf({ type, name }: File): Attachment["kind"] | undefined {
  if (type.startsWith("image/") || /\.(avif|bmp|gif|jpe?g|png|tiff?|webp)$/i.test(name)) return "image";
  return type.startsWith("video/") ? "video" : undefined;
}

function toDataUri(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result as string));
    reader.addEventListener("error", () => reject(reader.error ?? new Error("the file could not be read")));
    reader.readAsDataURL(file);
  });
}

async function isTooLarge(file: File): Promise<boolean> {
  return file.size > maxPictureBytes || (await pixelCountOf(file)) > maxPicturePixels;
}

/** From its first bytes; 0 where the browser does not know the format, which the server may. */
async function pixelCountOf(file: Blob): Promise<number> {
  const image = new Image();
  const url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      image.addEventListener("load", resolve);
      image.addEventListener("error", reject);
      image.src = url;
    });
    return image.naturalWidth * image.naturalHeight;
  } catch {
    return 0;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** On a phone a canvas beyond this stays empty, without an error (Safari: 4096 × 4096). */
const maxCanvasPixels = 2 ** 24;

/** The same picture as a JPEG within the limit: half as many pixels until it fits. */
async function shrink(file: Blob, maxBytes: number): Promise<Blob> {
  const picture = await createImageBitmap(file);
  const fittingScale = Math.sqrt(maxCanvasPixels / (picture.width * picture.height));
  for (let scale = Math.min(1, fittingScale); ; scale *= Math.SQRT1_2) {
    const canvas = new OffscreenCanvas(Math.ceil(picture.width * scale), Math.ceil(picture.height * scale));
    const context = canvas.getContext("2d")!;
    context.fillStyle = "white"; // as the server does where a picture is transparent
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const smaller = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    if (smaller.size > maxBytes) continue;
    picture.close();
    return smaller;
  }
}
