// Bicubic scaling with antialiasing, bit-exact with Pillow's (`Image.resize(size, BICUBIC)` on 8-bit RGB).
//
// As in Pillow, the weights of each output row and column are computed in double precision, normalised and rounded to fixed point. Columns are
// scaled before rows, and the picture between the two passes is rounded to 8 bits. A pass that changes nothing is skipped. (Pillow 12.3 shrinks
// rows first in a picture that is over 100 times as high as wide; no earlier version does, so the model was trained with the order of this file.)

import type { RgbImage } from "./rgb-image.ts";
import type { Size } from "./smart-resize.ts";

const channels = 3;
const weightBits = 22; // 255 · 2^22 · (sum of |weights|, at most about 1.5) stays below 2^31
const half = 1 << (weightBits - 1);
/** The radius of the cubic kernel, in input pixels when enlarging and in output pixels when shrinking. */
const kernelReach = 2;

/** The picture in another size; the same object if it already has that size. */
export function resizeBicubic(image: RgbImage, size: Size): RgbImage {
  const widened = image.width === size.width ? image : scaleAxis(image, "width", size.width);
  return widened.height === size.height ? widened : scaleAxis(widened, "height", size.height);
}

function scaleAxis(image: RgbImage, axis: "width" | "height", newLength: number): RgbImage {
  const { first, count, weights, stride } = computeTaps(image[axis], newLength);
  const alongRow = axis === "width";
  const width = alongRow ? newLength : image.width;
  const height = alongRow ? image.height : newLength;
  const { rgb } = image;
  const rowBytes = image.width * channels;
  const tapBytes = alongRow ? channels : rowBytes; // from one input pixel of a sum to the next
  const clamped = new Uint8ClampedArray(height * width * channels); // storing clamps to 0 … 255
  let to = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const place = alongRow ? column : row;
      let from = alongRow ? row * rowBytes + first[column]! * channels : first[row]! * rowBytes + column * channels;
      let red = half;
      let green = half;
      let blue = half;
      const tapEnd = place * stride + count[place]!;
      for (let tap = place * stride; tap < tapEnd; tap++) {
        const weight = weights[tap]!;
        red = (red + Math.imul(weight, rgb[from]!)) | 0;
        green = (green + Math.imul(weight, rgb[from + 1]!)) | 0;
        blue = (blue + Math.imul(weight, rgb[from + 2]!)) | 0;
        from += tapBytes;
      }
      clamped[to] = red >> weightBits;
      clamped[to + 1] = green >> weightBits;
      clamped[to + 2] = blue >> weightBits;
      to += channels;
    }
  }
  return { width, height, rgb: new Uint8Array(clamped.buffer) };
}

type Taps = {
  /** [outputLength]: first input pixel of each sum */
  readonly first: Int32Array;
  /** [outputLength]: input pixels of each sum */
  readonly count: Int32Array;
  /** int32 [outputLength, stride], in units of 2^−22 */
  readonly weights: Int32Array;
  readonly stride: number;
};

function computeTaps(inputLength: number, outputLength: number): Taps {
  const scale = inputLength / outputLength;
  const kernelScale = Math.max(scale, 1); // shrinking widens the kernel, which is the antialiasing
  const reach = kernelReach * kernelScale;
  const stride = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(outputLength);
  const count = new Int32Array(outputLength);
  const weights = new Int32Array(outputLength * stride);
  const exact = new Float64Array(stride);
  for (let output = 0; output < outputLength; output++) {
    const center = (output + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(inputLength, Math.trunc(center + reach + 0.5));
    let sum = 0;
    for (let tap = 0; tap < end - start; tap++) {
      exact[tap] = cubicKernel((start + tap - center + 0.5) * (1 / kernelScale));
      sum += exact[tap]!;
    }
    for (let tap = 0; tap < end - start; tap++) {
      weights[output * stride + tap] = roundHalfAway((exact[tap]! / sum) * (1 << weightBits));
    }
    first[output] = start;
    count[output] = end - start;
  }
  return { first, count, weights, stride };
}

/** Keys' cubic convolution kernel with a = −0.5. */
function cubicKernel(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function roundHalfAway(value: number): number {
  return Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
}
