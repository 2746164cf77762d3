// Server-sent events (HTML standard, section 9.2) from bytes: the data of each event, whatever the cuts between chunks.

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // an event that was not ended by an empty line is dropped, as the standard says
      rest += decoder.decode(value, { stream: true });
      // A carriage return at the very end may be the first half of a line's end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop()!;
      for (const line of lines) {
        if (line !== "") {
          const value = dataOf(line);
          if (value !== undefined) data.push(value);
        } else if (data.length > 0) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Comments and other fields are of no interest here. */
function dataOf(line: string): string | undefined {
  return /^data(?:: ?(?<value>.*))?$/s.exec(line)?.groups!["value"] ?? (line === "data" ? "" : undefined);
}
