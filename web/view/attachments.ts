// Turns files that the user drops, pastes or chooses into attachments of a message.

import type { Attachment } from "../chat/conversation.ts";
import { createId } from "../chat/create-id.ts";
import { decodeText } from "./decode-text.ts";
import { type DocumentKind, documentTypes, kindOfDocument, maxDocumentBytes } from "./document-type.ts";

/** The server's limit for one picture (`imageBytes` in src/api/app-options.ts). */
export const maxPictureBytes = 20 * 2 ** 20;

/** `decodableFormats` in src/vision/image-format.ts, as media types. */
export const pictureTypes: readonly string[] = ["png", "jpeg", "webp", "gif", "avif", "tiff"].map((format) => `image/${format}`);

/** The server accepts requests of 64 MiB, in which a video is a third larger than its file. */
export const maxVideoBytes = 47 * 2 ** 20;

/** `maxSourcePixels` in src/vision/decode-image.ts; phones take pictures of 50 to 200 megapixels. */
export const maxPicturePixels = 40_000_000;

/** The files of a clipboard, and whether it holds text other than their names: office programs copy text together with a picture of it. */
export function pastedFrom(clipboard: DataTransfer | null): { readonly files: readonly File[]; readonly hasText: boolean } {
  const files = [...(clipboard?.files ?? [])];
  const isName = (line: string) => files.some(({ name }) => name === line.split(/[\\/]/).at(-1));
  const lines = clipboard?.getData("text/plain").split(/\r?\n/) ?? [];
  return { files, hasText: !lines.every((line) => line === "" || isName(line)) };
}

type ReadFiles = {
  readonly attachments: Attachment[];
  /** Why some files were not accepted. */
  readonly refusals: string[];
};

/** Reads pictures, documents, and videos if the model accepts them. Pictures beyond the server's limits are made smaller, and formats
 *  that only the browser knows are converted. */
export async function readFiles(files: readonly File[], takesVideo: boolean): Promise<ReadFiles> {
  const read: ReadFiles = { attachments: [], refusals: [] };
  for (const given of files) {
    try {
      const { file, kind } = await toReadable(given);
      const refusal = whyRefused(file, kind, takesVideo);
      if (refusal === undefined) read.attachments.push(await toAttachment(file, kind!));
      else read.refusals.push(`${file.name} ${refusal}.`);
    } catch {
      read.refusals.push(`${given.name} could not be read${given.type.startsWith("image/") ? "; save it as PNG or JPEG" : ""}.`);
    }
  }
  return read;
}

/** The file, in UTF-8 if it is a text in another encoding. */
async function toReadable(file: File): Promise<{ readonly file: File; readonly kind: FileKind | undefined }> {
  const kind = await kindOf(file);
  if (kind !== undefined || file.size > maxDocumentBytes) return { file, kind };
  const text = decodeText(new Uint8Array(await file.arrayBuffer()), navigator.languages);
  return text === undefined ? { file, kind } : { file: new File([text], file.name), kind: "text" };
}

type FileKind = "image" | "video" | DocumentKind;

function whyRefused({ size }: File, kind: FileKind | undefined, takesVideo: boolean): string | undefined {
  if (size === 0) return "is empty";
  if (kind === undefined) return `is not a picture,${takesVideo ? " a video," : ""} a PDF or a UTF-8 text file`;
  if (kind === "video" && !takesVideo) return "is a video, which this model does not accept";
  if (kind === "video" && size > maxVideoBytes) return `is larger than ${maxVideoBytes / 2 ** 20} MiB; shorten or compress it`;
  if (isDocument(kind) && size > maxDocumentBytes) return `is larger than ${maxDocumentBytes / 2 ** 20} MiB; attach only the part you need`;
  return undefined;
}

/** Rejects if the file cannot be read. */
export async function toAttachment(file: File, kind: FileKind): Promise<Attachment> {
  const url = await toDataUri(await toSend(file, kind));
  return { id: createId(), kind: isDocument(kind) ? "document" : kind, name: file.name || "pasted.png", url };
}

async function toSend(file: File, kind: FileKind): Promise<Blob> {
  if (isDocument(kind)) return file.slice(0, file.size, documentTypes[kind]);
  if (kind === "video") return file;
  const isForeign = file.type !== "" && !pictureTypes.includes(file.type);
  return isForeign || (await isTooLarge(file)) ? toJpeg(file, maxPictureBytes) : file;
}

function isDocument(kind: FileKind): kind is DocumentKind {
  return kind in documentTypes;
}

async function kindOf(file: File): Promise<FileKind | undefined> {
  const { type, name } = file;
  if (type.startsWith("image/") || /\.(avif|bmp|gif|jpe?g|png|tiff?|webp)$/i.test(name)) return "image";
  const isVideo = type.startsWith("video/");
  const mayBeCode = /\.[cm]?ts$/i.test(name); // .ts is also the extension of a video format
  if (isVideo && !mayBeCode) return "video";
  return (await kindOfDocument(file)) ?? (isVideo ? "video" : undefined);
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

/** The picture's number of pixels; 0 if the browser does not know the format, which the server may still know. */
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

/** On phones a larger canvas silently stays empty (Safari: 4096 × 4096). */
export const maxCanvasPixels = 2 ** 24;

/** The picture as a JPEG within the limit: its pixels are halved until it fits. Rejects if the browser does not know the format. */
async function toJpeg(file: Blob, maxBytes: number): Promise<Blob> {
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
