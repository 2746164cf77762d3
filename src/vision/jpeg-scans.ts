// How often a JPEG file has its decoder go over all pixels. Each scan does, and one can be some 20 bytes long: a file of a few hundred
// kilobytes keeps a decoder busy for minutes, which nothing can stop.

const marker = { startOfScan: 0xda, firstRestart: 0xd0, endOfImage: 0xd9, temporary: 0x01 };

/**
 * Scans of a JPEG file, in the order of its markers (ITU-T T.81, annex B): segments tell their length, and scan data runs up to the next
 * 0xff that is neither stuffed (before 0) nor a restart marker.
 */
export function countJpegScans(bytes: Uint8Array): number {
  let scanCount = 0;
  let place = bytes.indexOf(0xff);
  while (place >= 0 && place + 1 < bytes.length) {
    const code = bytes[place + 1]!;
    if (code === 0xff) {
      place++; // a fill byte
      continue;
    }
    if (code === marker.endOfImage) break;
    if (code === marker.startOfScan) scanCount++;
    const skipped = standsAlone(code) ? 0 : (bytes[place + 2] ?? 0) * 256 + (bytes[place + 3] ?? 0);
    place = bytes.indexOf(0xff, place + 2 + skipped);
  }
  return scanCount;
}

/** Codes without a segment: stuffed zeros, restart markers, the start and end of the image. */
function standsAlone(code: number): boolean {
  return code === 0 || code === marker.temporary || (code >= marker.firstRestart && code <= marker.endOfImage);
}
