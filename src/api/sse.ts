// Server-sent events: frames, and the body that sends them as fast as the client reads.

const pingFrame = ": ping\n\n";
const defaultPingIntervalMs = 15_000;

/** One event. The value may be anything JSON can say, or the literal `[DONE]` that ends OpenAI's streams. */
export function toFrame(value: object | "[DONE]"): string {
  return `data: ${value === "[DONE]" ? value : JSON.stringify(value)}\n\n`;
}

/**
 * A response body of frames. The next frame is asked for only when the client has taken the last one. While none comes, a
 * comment every `pingIntervalMs` keeps proxies from closing the connection. `onCancel` runs when the client has gone.
 */
export function sseBody(
  frames: AsyncGenerator<string>,
  onCancel: () => void,
  pingIntervalMs = defaultPingIntervalMs,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<string>> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      next ??= frames.next();
      const result = await withinInterval(next, pingIntervalMs);
      if (result === undefined) {
        controller.enqueue(encoder.encode(pingFrame));
        return;
      }
      next = undefined;
      if (result.done) controller.close();
      else controller.enqueue(encoder.encode(result.value));
    },
    async cancel() {
      onCancel();
      await frames.return(undefined);
    },
  });
}

/** The promise's value, or undefined when it takes longer than `ms`. */
async function withinInterval<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const elapsed = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, elapsed]);
  } finally {
    clearTimeout(timer);
  }
}
