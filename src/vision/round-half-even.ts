// Rounding as Python and NumPy do it.

/** 2.5 → 2, 3.5 → 4. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
