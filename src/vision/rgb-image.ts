// A decoded picture: what decoding, resizing and patching hand to each other.

export type RgbImage = {
  readonly width: number;
  readonly height: number;
  /** uint8 [height, width, 3] */
  readonly rgb: Uint8Array;
};
