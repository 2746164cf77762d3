// A grey progressive JPEG whose scans say nothing, in a few bytes each, however large it is. A decoder still goes over all blocks in each.

const segment = (marker: number, content: readonly number[]): number[] => {
  const length = content.length + 2;
  return [0xff, marker, length >> 8, length & 255, ...content];
};

/** A grey square; `side` is a multiple of 8. The first scan is that of mean values. */
export function manyScans(side: number, scanCount: number): Buffer {
  const blockCount = (side / 8) ** 2;
  const zeros = Array<number>(Math.ceil(blockCount / 8)).fill(0); // code 0 for each block; padding, which should be ones, is not looked at
  const frame = [8, side >> 8, side & 255, side >> 8, side & 255, 1, 1, 0x11, 0];
  const tables = [
    ...segment(0xdb, [0, ...Array<number>(64).fill(1)]),
    ...segment(0xc2, frame),
    ...segment(0xc4, [0x00, 1, ...Array<number>(15).fill(0), 0x00]), // mean values: code 0 is "no difference"
    ...segment(0xc4, [0x10, 1, ...Array<number>(15).fill(0), 0x00]), // the others: code 0 is "end of block"
  ];
  const means = [...segment(0xda, [1, 1, 0, 0, 0, 0]), ...zeros];
  const others = [...segment(0xda, [1, 1, 0, 1, 63, 0]), ...zeros];
  const scans = Array.from({ length: scanCount - 1 }, () => others).flat();
  return Buffer.from([0xff, 0xd8, ...tables, ...means, ...scans, 0xff, 0xd9]);
}
