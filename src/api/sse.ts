// Server-sent events: frames, and a response body that sends them as fast as the client reads.

/** An event without fields, which clients ignore. Not a comment: some benchmark clients, SGLang's and vLLM's among them, read a comment as data. */
const pingFrame = "\n\n";
const defaultPingIntervalMs = 15_000;

/** One event: a JSON value, or the literal `[DONE]` that ends OpenAI's streams. */
export function toFrame(value: object | "[DONE]"): string {
  return `data: ${value === "[DONE]" ? value : JSON.stringify(value)}\n\n`;
}

/** One event whose name is its type, as Anthropic's streams and those of the Responses API have them. */
export function toNamedFrame(event: { readonly type: string }): string {
  return `event: ${event.type}\n${toFrame(event)}`;
}

/**
 * A response body of frames. The next frame is requested only when the client has taken the last one. While none arrives, an
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
      // One timer per stream, restarted by each frame. A client that has not taken the last frame needs no ping.
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
