// Speed of several answers while all of them run.

/**
 * Tokens per second of all streams together from the moment the last one has its first token until the first one ends: every step then adds a
 * token to each, which prompts still being computed and streams already at their end would hide. `times`: for each stream when its tokens came,
 * ascending, in milliseconds. Undefined if the streams did not run together for two steps.
 */
export function steadyTokensPerSecond(times: readonly (readonly number[])[]): number | undefined {
  const allRun = Math.max(...times.map(([first]) => first!));
  const first = times.reduce((a, b) => (b.at(-1)! < a.at(-1)! ? b : a));
  const together = first.filter((time) => time >= allRun);
  const ms = together.at(-1)! - together[0]!;
  return ms > 0 ? (1000 * times.length * (together.length - 1)) / ms : undefined;
}
