// A small chart of one figure over the last minutes, with its latest value in words.

import { type Point, roundTop } from "../chat/server-history.ts";

const spanMs = 5 * 60_000;
const [width, height] = [240, 56];

type ChartProps = {
  readonly title: string;
  readonly unit: string;
  readonly points: readonly Point[];
  /** The largest value there can be; otherwise a round number above all values. */
  readonly top?: number;
};

export function Chart({ title, unit, points, top = roundTop(points) }: ChartProps) {
  const latest = points.findLast(({ value }) => value !== undefined)?.value;
  const shown = latest === undefined ? "–" : `${format(latest)}${unit}`;
  const endMs = points.at(-1)?.atMs ?? 0;
  const known = points.filter((point): point is { atMs: number; value: number } => point.value !== undefined);
  // A line of one place only is drawn as a dot.
  const drawn = known.length === 1 ? [...known, ...known] : known;
  const places = drawn.map(
    ({ atMs, value }) => `${toX(atMs, endMs)},${(height - 1 - (value / Math.max(top, 1)) * (height - 2)).toFixed(1)}`,
  );
  return (
    <figure class="chart">
      <figcaption>
        {title} <strong>{shown}</strong>
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={describe(title, unit, known)}>
        <path class="chart-base" d={`M0 ${height - 0.5}H${width}`} />
        {places.length > 0 && <polyline class="chart-line" points={places.join(" ")} />}
      </svg>
      <span class="chart-top" aria-hidden="true">
        {format(top)}
        {unit}
      </span>
    </figure>
  );
}

function toX(atMs: number, endMs: number): string {
  return (width - ((endMs - atMs) / spanMs) * width).toFixed(1);
}

function describe(title: string, unit: string, known: readonly { readonly value: number }[]): string {
  if (known.length === 0) return `${title}: nothing measured in the last minutes`;
  const values = known.map(({ value }) => value);
  const say = (value: number) => `${format(value)}${unit}`;
  return `${title}: now ${say(values.at(-1)!)}, at most ${say(Math.max(...values))} in the last minutes`;
}

function format(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}
