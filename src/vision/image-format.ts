// Detects the type of an image file by its first bytes. File names and declared media types are never trusted.

/** Formats the decoder takes. */
export const decodableFormats = ["png", "jpeg", "webp", "gif", "avif", "tiff"] as const;

export type ImageFormat = (typeof decodableFormats)[number] | "bmp" | "heic" | "jpeg-xl" | "svg" | "pdf";

/** Tests of the first bytes, given as a string with one character per byte. */
const signatures: readonly (readonly [ImageFormat, (start: string) => boolean])[] = [
  ["png", (start) => start.startsWith("\x89PNG\r\n\x1a\n")],
  ["jpeg", (start) => start.startsWith("\xff\xd8\xff")],
  ["webp", (start) => start.startsWith("RIFF") && start.startsWith("WEBP", 8)],
  ["gif", (start) => /^GIF8[79]a/.test(start)],
  ["avif", (start) => /^ftyp(m[is]f1([^]{4})*?)?avi[fs]/.test(start.slice(4))], // maybe behind the brand of any such container
  ["heic", (start) => /^ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)/.test(start.slice(4))],
  ["tiff", (start) => ["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(start.slice(0, 4))],
  ["bmp", (start) => start.startsWith("BM") && start.startsWith("\0\0\0\0", 6)],
  ["jpeg-xl", (start) => start.startsWith("\xff\n") || start.startsWith("JXL ", 4)],
  ["pdf", (start) => start.startsWith("%PDF-")],
  ["svg", (start) => /^(\xef\xbb\xbf)?\s*<(\?xml|!--|!DOCTYPE svg|svg)/i.test(start)],
];

/** Undefined if the format is unknown. */
export function sniffFormat(bytes: Uint8Array): ImageFormat | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 64)).toString("latin1");
  return signatures.find(([, matches]) => matches(start))?.[0];
}

export function isDecodable(format: ImageFormat): boolean {
  return decodableFormats.some((decodable) => decodable === format);
}
