// Server-sent events: frames, and the body that sends them as fast as the client reads.

/** An event without a field, which is none. Not a comment: readers of benchmarks, SGLang's and vLLM's among them, take its line for data. */
const pingFrame = "\n\n";
const defaultPingIntervalMs = 15_000;

/** One event. The value may be anything JSON can say, or the literal `[DONE]` that ends OpenAI's streams. */
export function toFrame(value: object | "[DONE]"): string {
  return `data: ${value === "[DONE]" ? value : JSON.stringify(value)}\n\n`;
}

/**
 * A response body of frames. The next frame is asked for only when the client has taken the last one. While none comes, a
 * empty event every `pingIntervalMs` keeps proxies from closing the connection. `onCancel` runs when the client has gone.
 */
export function sseBody(
  frames: AsyncGenerator<string>,
  onCancel: () => void,
  pingIntervalMs = defaultPingIntervalMs,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let ping: NodeJS.Timeout | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      // One timer for the whole stream, put off by each frame: frames are many. A client that has not taken the last one needs no ping.
      ping = setInterval(() => {
        if (controller.desiredSize! > 0) controller.enqueue(encoder.encode(pingFrame));
      }, pingIntervalMs);
    },
    async pull(controller) {
      try {
        const { done, value } = await frames.next();
        if (!done) {
          ping?.refresh();
          return controller.enqueue(encoder.encode(value));
        }
      } catch (error) {
        clearInterval(ping);
        throw error;
      }
      clearInterval(ping);
      controller.close();
    },
    async cancel() {
      clearInterval(ping);
      onCancel();
      await frames.return(undefined);
    },
  });
}
