import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { sseBody, toFrame } from "../../src/api/sse.ts";

describe("a silent stream", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is kept alive with empty events until the next frame comes", async () => {
    let send = (_frame: string): void => undefined;
    const later = new Promise<string>((resolve) => {
      send = resolve;
    });
    async function* slow() {
      yield "data: 1\n\n";
      yield await later;
    }
    const reader = sseBody(slow(), () => undefined, 15_000)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    const read: (string | undefined)[] = [(await reader.read()).value];

    for (let i = 0; i < 2; i++) {
      const next = reader.read();
      await vi.advanceTimersByTimeAsync(15_000);
      read.push((await next).value);
    }
    send("data: 2\n\n");
    read.push((await reader.read()).value);

    expect(read.slice(0, 3)).toEqual(["data: 1\n\n", "\n\n", "\n\n"]);
    expect(read[3]).toBe("data: 2\n\n");
    expect((await reader.read()).done).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("has no empty events where frames come sooner, or nobody reads", async () => {
    async function* steady() {
      for (const number of [1, 2, 3]) {
        yield `data: ${number}\n\n`;
        await new Promise((resolve) => setTimeout(resolve, 10_000));
      }
    }
    const reader = sseBody(steady(), () => undefined, 15_000).getReader();
    const read: string[] = [];
    const readNext = async (): Promise<void> => void read.push(new TextDecoder().decode((await reader.read()).value));

    await vi.advanceTimersByTimeAsync(60_000);
    for (let i = 0; i < 3; i++) {
      const next = readNext();
      await vi.advanceTimersByTimeAsync(10_000);
      await next;
    }

    expect(read).toEqual(["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"]);
  });
});

test("a client that goes ends the frames, and with them the timer", async () => {
  const ended: string[] = [];
  async function* frames() {
    try {
      for (;;) yield toFrame({});
    } finally {
      ended.push("frames");
    }
  }
  const setTimer = vi.spyOn(globalThis, "setInterval");
  const clearTimer = vi.spyOn(globalThis, "clearInterval");
  const reader = sseBody(frames(), () => void ended.push("answer")).getReader();
  await reader.read();

  await reader.cancel();

  expect(ended).toEqual(["answer", "frames"]);
  expect(clearTimer).toHaveBeenCalledWith(setTimer.mock.results[0]!.value);
  vi.restoreAllMocks();
});

test("line breaks in a value stay inside one frame", () => {
  expect(toFrame({ text: "a\n\nb\r" })).toBe('data: {"text":"a\\n\\nb\\r"}\n\n');
  expect(toFrame("[DONE]")).toBe("data: [DONE]\n\n");
});
