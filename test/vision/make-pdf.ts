// PDF files, written as the specification says and no further.

import { deflateSync } from "node:zlib";
import type { RgbImage } from "../../src/vision/rgb-image.ts";

/** One of those that a PDF may name without holding them. */
export type NamedFont = {
  readonly name: string;
  /** What its codes mean. */
  readonly encoding: string;
  /** The collection of characters that they choose from. A font without is one for Latin texts. */
  readonly ordering?: string;
  readonly isTrueType?: boolean;
};

export type PdfPage = {
  /** In points of 1/72 inch; A4 unless told. */
  readonly width?: number;
  readonly height?: number;
  /** Operators of the content stream; the fonts are `/F` (Helvetica) and `/N0`, …, the picture is `/P`. */
  readonly content?: string | Buffer;
  readonly namedFonts?: readonly NamedFont[];
  readonly picture?: RgbImage;
  /** What stands in a field of a form in the lower left corner. */
  readonly field?: string;
};

/** One line of text, its baseline so many points above the lower edge. */
export function showText(text: string, y = 700, size = 24): string {
  return `BT /F ${size} Tf 40 ${y} Td (${text}) Tj ET`;
}

/** The picture over the whole page. */
export function fillPage({ width, height }: { readonly width: number; readonly height: number }): string {
  return `q ${width} 0 0 ${height} 0 0 cm /P Do Q`;
}

/** `trailer`: more entries of the trailer, such as `/Encrypt`. */
export function makePdf(pages: readonly PdfPage[], trailer = ""): Buffer {
  const objects: (string | Buffer)[] = ["", "", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"];
  const add = (object: string | Buffer): string => `${objects.push(object)} 0 R`;
  const fields: string[] = [];
  const kids = pages.map(({ width = 595, height = 842, content = "", namedFonts = [], picture, field }) => {
    const contents = add(stream("", Buffer.from(content as string, "latin1")));
    const image = picture && add(makePicture(picture));
    const widget = field === undefined ? undefined : add(makeField(field, add));
    if (widget) fields.push(widget);
    const fonts = namedFonts.map((font, index) => `/N${index} ${addFont(font, add)}`).join("");
    const resources = `<</Font<</F 3 0 R${fonts}>>${image ? `/XObject<</P ${image}>>` : ""}>>`;
    const annotations = widget ? `/Annots[${widget}]` : "";
    return add(`<</Type/Page/Parent 2 0 R/MediaBox[0 0 ${width} ${height}]/Contents ${contents}/Resources ${resources}${annotations}>>`);
  });
  objects[0] = `<</Type/Catalog/Pages 2 0 R${fields.length > 0 ? `/AcroForm<</Fields[${fields.join(" ")}]>>` : ""}>>`;
  objects[1] = `<</Type/Pages/Kids[${kids.join(" ")}]/Count ${kids.length}>>`;
  return joinObjects(objects, trailer);
}

function makePicture({ width, height, rgb }: RgbImage): Buffer {
  const head = `/Type/XObject/Subtype/Image/Width ${width}/Height ${height}/ColorSpace/DeviceRGB/BitsPerComponent 8`;
  return stream(head, Buffer.from(rgb));
}

function addFont({ name, encoding, ordering, isTrueType = false }: NamedFont, add: (object: string) => string): string {
  const flags = ordering ? 4 : 32;
  const box = "/FontBBox[0 -120 1000 880]/ItalicAngle 0/Ascent 880/Descent -120/StemV 80";
  const look = add(`<</Type/FontDescriptor/FontName/${name}/Flags ${flags}${box}>>`);
  if (!ordering) return add(`<</Type/Font/Subtype/TrueType/BaseFont/${name}/Encoding/${encoding}/FontDescriptor ${look}>>`);
  const system = `/CIDSystemInfo<</Registry(Adobe)/Ordering(${ordering})/Supplement 0>>`;
  const kind = `CIDFontType${isTrueType ? 2 : 0}`;
  const characters = add(`<</Type/Font/Subtype/${kind}/BaseFont/${name}${system}/FontDescriptor ${look}/DW 1000>>`);
  return add(`<</Type/Font/Subtype/Type0/BaseFont/${name}/Encoding/${encoding}/DescendantFonts[${characters}]>>`);
}

function makeField(value: string, add: (object: Buffer) => string): string {
  const look = add(stream("/Type/XObject/Subtype/Form/BBox[0 0 100 20]", Buffer.from("0 0 1 rg 0 0 100 20 re f")));
  return `<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(${value})/Rect[0 0 100 20]/F 4/AP<</N ${look}>>>>`;
}

/** Packed; `head`: more entries of its dictionary. */
export function stream(head: string, data: Buffer): Buffer {
  const packed = deflateSync(data);
  return Buffer.concat([Buffer.from(`<<${head}/Filter/FlateDecode/Length ${packed.length}>>stream\n`), packed, Buffer.from("\nendstream")]);
}

/** A file of these objects, numbered from 1; the first is the catalog. */
export function joinObjects(objects: readonly (string | Buffer)[], trailer = ""): Buffer {
  const parts = [Buffer.from("%PDF-1.7\n")];
  let length = parts[0]!.length;
  const places = objects.map((object, index) => {
    const part = Buffer.concat([Buffer.from(`${index + 1} 0 obj\n`), Buffer.from(object as string), Buffer.from("\nendobj\n")]);
    parts.push(part);
    length += part.length;
    return `${String(length - part.length).padStart(10, "0")} 00000 n \n`;
  });
  const table = `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.join("")}`;
  parts.push(Buffer.from(`${table}trailer\n<</Size ${objects.length + 1}/Root 1 0 R${trailer}>>\nstartxref\n${length}\n%%EOF\n`));
  return Buffer.concat(parts);
}
