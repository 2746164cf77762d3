// 16-bit floats as bit patterns in Uint16Array; JavaScript on Node 20 has no Float16Array. Rounding is to nearest, ties to even.

const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);

/** IEEE binary16; values beyond 65504 become infinite. */
export function toFloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < out.length; i++) out[i] = float16Bits(source[i]!);
  return out;
}

function float16Bits(x: number): number {
  const sign = (x >>> 16) & 0x8000;
  const exponent = (x >>> 23) & 0xff;
  const mantissa = x & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  if (exponent > 142) return sign | 0x7c00;
  if (exponent < 102) return sign;
  if (exponent < 113) {
    // Subnormal in binary16: shift the mantissa with its implicit one into place.
    const shift = 126 - exponent;
    return sign | roundShift(mantissa | 0x800000, shift);
  }
  // A carry out of the mantissa runs into the exponent, which is what rounding up wants.
  return sign | (((exponent - 112) << 10) + roundShift(mantissa, 13));
}

function roundShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}

export function fromFloat16(values: Uint16Array): Float32Array {
  const out = new Float32Array(values.length);
  const target = new Uint32Array(out.buffer);
  for (let i = 0; i < out.length; i++) {
    const half = values[i]!;
    // As a binary32 pattern the number is 2^112 too small, subnormals included; infinities and NaN need the largest exponent.
    target[i] = (half & 0x7fff) << 13;
    if ((half & 0x7c00) === 0x7c00) target[i] = target[i]! | 0x7f800000;
    else out[i] = out[i]! * 2 ** 112;
    target[i] = target[i]! | ((half & 0x8000) << 16);
  }
  return out;
}

/** The upper half of binary32. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < out.length; i++) {
    const x = source[i]!;
    out[i] = (x & 0x7fffffff) > 0x7f800000 ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return out;
}

export function fromBfloat16(values: Uint16Array): Float32Array {
  const bits = Uint32Array.from(values, (half) => half << 16);
  return new Float32Array(bits.buffer);
}

/** Rounds one number to the nearest binary16 value. */
export function roundToFloat16(value: number): number {
  scratch[0] = value;
  const half = float16Bits(bits[0]!);
  bits[0] = (half & 0x7fff) << 13;
  if ((half & 0x7c00) === 0x7c00) bits[0] = bits[0] | 0x7f800000;
  else scratch[0] = scratch[0]! * 2 ** 112;
  return (half & 0x8000) === 0 ? scratch[0]! : -scratch[0]!;
}

/** Rounds one number to the nearest bfloat16 value. */
export function roundToBfloat16(value: number): number {
  scratch[0] = value;
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return scratch[0]!;
}
