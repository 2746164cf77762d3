// Detects an engine whose step hangs: native code cannot be interrupted, only watched from another thread.

import type { Logger } from "pino";

export type StepWatch = {
  /** True while a step takes too long. */
  readonly isStalled: () => boolean;
};

const checksPerTimeout = 20;

/** A step that takes this many times the timeout counts as hanging forever. */
const lostAfterTimeouts = 5;

/**
 * If a step takes longer than `timeoutMs`, the engine counts as stalled until the next sign of life; after five times as long, `onLost` is
 * called. 0: never.
 */
export function watchSteps(
  engine: { silentMs(): number },
  timeoutMs: number,
  log: Pick<Logger, "error" | "warn">,
  onLost: (reason: string) => void,
): StepWatch {
  if (timeoutMs === 0) return { isStalled: () => false };
  let isStalled = false;
  const check = (): void => {
    const silentMs = engine.silentMs();
    const wasStalled = isStalled;
    isStalled = silentMs > timeoutMs;
    if (isStalled && !wasStalled) log.error({ silentMs: Math.round(silentMs) }, "no step has finished for too long: not ready");
    if (!isStalled && wasStalled) log.warn({}, "steps finish again: ready");
    if (silentMs <= lostAfterTimeouts * timeoutMs) return;
    clearInterval(timer);
    onLost(`no step has finished for ${Math.round(silentMs / 1000)} s`);
  };
  const timer = setInterval(check, timeoutMs / checksPerTimeout);
  timer.unref();
  return { isStalled: () => isStalled };
}
