// Removes compressed texts from PNG files. The decoder unpacks every one that comes before the pixels, up to 60 MB each and with no way to stop it,
// so a file of a megabyte could keep it busy for a minute. Nothing here reads them.

const signatureBytes = 8;
/** Length, type and checksum. */
const chunkOverhead = 12;
const textTypes = ["zTXt", "iTXt"];

/** The file without them; the same bytes if it has none. What is not a sequence of chunks is left to the decoder. */
export function withoutPngTexts(bytes: Uint8Array): Uint8Array {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const kept: Buffer[] = [];
  let keptFrom = 0;
  for (let place = signatureBytes; place + chunkOverhead <= file.length;) {
    const type = file.toString("latin1", place + 4, place + 8);
    if (type === "IDAT") break;
    const end = place + chunkOverhead + file.readUInt32BE(place);
    if (textTypes.includes(type)) {
      if (place > keptFrom) kept.push(file.subarray(keptFrom, place));
      keptFrom = end;
    }
    place = end;
  }
  return keptFrom === 0 ? bytes : Buffer.concat([...kept, file.subarray(keptFrom)]);
}
