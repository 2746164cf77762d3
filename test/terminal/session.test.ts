import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { MeasuredAnswer } from "../../src/client/send-request.ts";
import { Conversation } from "../../src/terminal/conversation.ts";
import { type AskServer, converse } from "../../src/terminal/session.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const measured: MeasuredAnswer = {
  e2elMs: 1500,
  ttftMs: 500,
  gapsMs: [],
  promptTokens: 20,
  cachedTokens: 15,
  outputTokens: 11,
  tokensFrom: "usage",
  finishReason: "stop",
};

const answerUntilStopped: AskServer = async (_, { signal, onText }) => {
  onText("Begun", "");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  return { ...measured, failure: { kind: "interrupted", message: "" } };
};

type Body = { readonly messages: readonly { readonly role: string; readonly content: unknown }[] } & Record<string, unknown>;

type Started = {
  /** As if a person had typed it; `\r` is Enter. */
  type(keys: string): void;
  /** Waits until the terminal shows it behind what was waited for before. */
  sees(text: string): Promise<void>;
  /** The terminal goes away. */
  hangUp(): void;
  /** All that the terminal was sent. */
  shown(): string;
  /** Bodies of the requests. */
  readonly asked: Body[];
  readonly ended: Promise<void>;
};

/** A conversation at a terminal of its own. By default each question is answered with "Answer N.", after a thought. */
function start(
  answer?: AskServer,
  { hasColor = true, files = [], signal }: { hasColor?: boolean; files?: { name: string; part: object }[]; signal?: AbortSignal } = {},
): Started {
  const input = new PassThrough();
  const output = Object.assign(new PassThrough({ encoding: "utf8" }), { columns: 80 });
  let shown = "";
  let seen = 0;
  output.on("data", (text: string) => (shown += text));
  const asked: Body[] = [];
  const ask: AskServer = (request, options) => {
    asked.push(request as Body);
    if (answer) return answer(request, options);
    options.onText("", "Hm.");
    options.onText(`Answer ${asked.length}.`, "");
    return Promise.resolve(measured);
  };
  const ended = converse({
    input,
    output,
    hasColor,
    conversation: new Conversation({ model: "fake" }),
    ask,
    files,
    ...(signal && { signal }),
  });
  onTestFinished(async () => {
    input.end();
    await ended;
  });
  return {
    type: (keys) => void input.write(keys),
    sees: async (text) => {
      await expect.poll(() => shown.slice(seen)).toContain(text);
      seen = shown.indexOf(text, seen) + text.length;
    },
    hangUp: () => void input.end(),
    shown: () => shown,
    asked,
    ended,
  };
}

const contents = (body: Body | undefined): unknown[] => body!.messages.map(({ content }) => content);

describe("a conversation in the terminal", () => {
  test("shows the thought dim, the answer, and what it took, and sends what was said before", async () => {
    const terminal = start();

    terminal.type("One?\r");
    await terminal.sees("\u001b[2m…\u001b[22m\r\u001b[K"); // while the prompt is read
    await terminal.sees("\u001b[2mHm.\u001b[22m\n\nAnswer 1.\n");
    await terminal.sees("\u001b[2m11 tokens, 10.0 tokens/s, first token after 0.50 s, 20 prompt tokens (15 cached)\u001b[22m\n");
    terminal.type("Two?\r");
    await terminal.sees("Answer 2.");

    expect(contents(terminal.asked[1])).toEqual(["One?", "Answer 1.", "Two?"]);
    expect(terminal.asked[1]).toMatchObject({ model: "fake", stream: true });
  });

  test("has no colours where they are not wanted", async () => {
    const terminal = start(undefined, { hasColor: false });

    terminal.type("One?\r");
    await terminal.sees("(thinking) Hm.\n\nAnswer 1.\n");

    expect(terminal.shown()).not.toContain("\u001b[2m");
  });

  test("lets no escape sequence of an answer, a thought or a failure reach the terminal", async () => {
    const evil = "\u001b]0;title\u0007\u001b[2J\u009b31m\u202Egpj\r";
    const failure = { kind: "HTTP 400", message: evil };
    const terminal = start(async (_, { onText }) => {
      onText("", `think${evil}`);
      onText(`say${evil}`, "");
      return { ...measured, failure };
    });

    terminal.type("One?\r");
    await terminal.sees("/retry asks again");

    const [, said = ""] = terminal.shown().split("think");
    expect(said.split("(/retry")[0]!.replaceAll("\u001b[22m", "")).not.toMatch(/(?!\n)[\p{Cc}\u202E]/u);
    expect(said).toContain("say\uFFFD]0;title\uFFFD\uFFFD[2J\uFFFD31m\uFFFDgpj\uFFFD");
    expect(said).toContain("HTTP 400: \uFFFD]0;title");
  });

  test("joins lines that end in a backslash, and pasted ones", async () => {
    const terminal = start();

    terminal.type("a\\\rb\r");
    await terminal.sees("Answer 1.");
    terminal.type("\u001b[200~c\rd\r\u001b[201~");
    terminal.type("e\r");
    await terminal.sees("Answer 2.");

    expect(contents(terminal.asked[1])).toEqual(["a\nb", "Answer 1.", "c\nd\ne"]);
  });

  test("words of an input method and pasted ones, which arrive at once, are put where the cursor is", async () => {
    const terminal = start();

    terminal.type("红色在左边");
    terminal.type("\u001b[D\u001b[D\u001b[D");
    terminal.type("的圆形");
    terminal.type("\u001b[200~真的\u001b[201~");
    terminal.type("\u007f\u001b[F吗？\r");
    await terminal.sees("Answer 1.");

    expect(contents(terminal.asked[0])).toEqual(["红色的圆形真在左边吗？"]);
  });

  test("text that wraps is drawn from its first row on when it changes, however it arrived", async () => {
    const terminal = start();

    terminal.type("你".repeat(100)); // over three rows of 80 columns
    await terminal.sees("你");
    terminal.type("\u007f");
    await terminal.sees("\u001b[2A\u001b[1G\u001b[0J> 你");
  });

  test("finds earlier lines by the arrow keys", async () => {
    const terminal = start();

    terminal.type("One?\r");
    await terminal.sees("Answer 1.");
    terminal.type("\u001b[A\r");
    await terminal.sees("Answer 2.");

    expect(contents(terminal.asked[1]).at(-1)).toBe("One?");
  });

  test("keeps what is typed into an answer for the next question, and does not show it there", async () => {
    let finish: () => void = () => {};
    const terminal = start(async (_, { onText }) => {
      onText("Begun", "");
      await new Promise<void>((resolve) => (finish = resolve));
      onText(", ended.", "");
      return measured;
    });

    terminal.type("One?\r");
    await terminal.sees("Begun");
    terminal.type("Two?\rThr");
    await new Promise((resolve) => setImmediate(resolve));
    finish();
    await terminal.sees(", ended.\n");
    await expect.poll(() => terminal.asked.length).toBe(2);
    finish();
    await terminal.sees("> ");

    expect(terminal.shown()).toContain("Begun, ended.");
    expect(contents(terminal.asked[1]).at(-1)).toBe("Two?");
    await terminal.sees("Thr");
  });

  test("Ctrl-C stops an answer, whose beginning stays in the conversation; twice at the prompt it leaves", async () => {
    const terminal = start(async (request, options) => {
      return terminal.asked.length > 1 ? measured : answerUntilStopped(request, options);
    });

    terminal.type("One?\r");
    await terminal.sees("Begun");
    terminal.type("\u0003");
    await terminal.sees("stopped");
    terminal.type("Two?\r");
    await terminal.sees("11 tokens");
    expect(contents(terminal.asked[1])).toEqual(["One?", "Begun", "Two?"]);

    await terminal.sees("> ");
    terminal.type("half a question\u0003");
    terminal.type("\u0003");
    await terminal.sees("Ctrl-C again");
    terminal.type("\u0003");
    await terminal.ended;
    expect(terminal.asked).toHaveLength(2);
  });

  test("Ctrl-D leaves, also in the middle of an answer, and the terminal pastes as before", async () => {
    const terminal = start(answerUntilStopped);

    terminal.type("One?\r");
    await terminal.sees("Begun");
    terminal.type("\u0004");
    await terminal.ended;

    expect(
      terminal
        .shown()
        .split("\u001b[?2004")
        .slice(1)
        .map((rest) => rest[0]),
    ).toEqual(["h", "l"]); // pastes in brackets: on, off
  });

  test("ended from outside, it stops the answer and the terminal pastes as before", async () => {
    const end = new AbortController();
    const terminal = start(answerUntilStopped, { signal: end.signal });

    terminal.type("One?\r");
    await terminal.sees("Begun");
    end.abort();
    await terminal.ended;

    const shown = terminal.shown();
    expect(shown.lastIndexOf("\u001b[?2004l")).toBeGreaterThan(shown.lastIndexOf("\u001b[?2004h"));
  });

  test("goes on after Ctrl-Z", async () => {
    const kill = vi.spyOn(process, "kill").mockReturnValue(true); // would stop the tests
    onTestFinished(() => kill.mockRestore());
    const terminal = start();

    await terminal.sees("> ");
    terminal.type("On\u001a");
    await expect.poll(() => kill.mock.calls).toEqual([[process.pid, "SIGTSTP"]]);
    process.emit("SIGCONT");
    await terminal.sees("\u001b[?2004h");
    terminal.type("e?\r");
    await terminal.sees("Answer 1.");

    expect(contents(terminal.asked[0])).toEqual(["One?"]);
  });

  test("a terminal that goes away ends it, and a line that was begun is not sent", async () => {
    const terminal = start();

    await terminal.sees("> ");
    terminal.type("rm");
    terminal.hangUp();
    await terminal.ended;

    expect(terminal.asked).toEqual([]);
  });

  test("a question without an answer is given up for the next one, or asked again", async () => {
    const terminal = start(async (_, { onText }) => {
      if (terminal.asked.length < 3) return { ...measured, failure: { kind: "ECONNREFUSED", message: "gone" } };
      onText("Here.", "");
      return measured;
    });

    terminal.type("One?\r");
    await terminal.sees("ECONNREFUSED: gone (/retry asks again)");
    terminal.type("Two?\r");
    await terminal.sees("ECONNREFUSED");
    terminal.type("/retry\r");
    await terminal.sees("Here.");

    expect(terminal.asked.map(contents)).toEqual([["One?"], ["Two?"], ["Two?"]]);
  });
});

describe("commands of a conversation", () => {
  test("/image and /file send files with the next question only, however their path is written", async () => {
    const folder = temporaryFolder();
    for (const name of ["a photo.jpg", "film.mp4", "notes.txt"]) writeFileSync(join(folder, name), name);
    const part = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
    const terminal = start(undefined, { files: [{ name: "first.png", part }] });

    await terminal.sees("Attached to the next question: first.png");
    terminal.type(`/image ${join(folder, "a photo.jpg").replace(" ", "\\ ")}\r`);
    await terminal.sees("first.png, a photo.jpg");
    terminal.type(`/file '${join(folder, "film.mp4")}'\r`);
    await terminal.sees("film.mp4");
    terminal.type(`/file ${join(folder, "notes.txt")}\r`);
    await terminal.sees("notes.txt");
    terminal.type("/image missing.png\r");
    await terminal.sees("cannot read missing.png: no such file");
    terminal.type("/image /dev/zero\r");
    await terminal.sees("cannot send /dev/zero: not a file");
    terminal.type("What?\r");
    await terminal.sees("Answer 1.");
    terminal.type("And?\r");
    await terminal.sees("Answer 2.");

    expect(contents(terminal.asked[1])).toEqual([
      [
        part,
        { type: "image_url", image_url: { url: `data:image/jpeg;base64,${btoa("a photo.jpg")}` } },
        { type: "video_url", video_url: { url: `data:video/mp4;base64,${btoa("film.mp4")}` } },
        { type: "file", file: { filename: "notes.txt", file_data: `data:text/plain;base64,${btoa("notes.txt")}` } },
        { type: "text", text: "What?" },
      ],
      "Answer 1.",
      "And?",
    ]);
  });

  test("/think, /retry and /clear change what is asked", async () => {
    const terminal = start();

    terminal.type("/think on\r");
    await terminal.sees("thinks before");
    terminal.type("One?\r");
    await terminal.sees("Answer 1.");
    terminal.type("/think off\r");
    await terminal.sees("without thinking");
    terminal.type("/retry\r");
    await terminal.sees("Answer 2.");
    terminal.type("/clear\r");
    await terminal.sees("Started a new conversation.");
    terminal.type("Two?\r");
    await terminal.sees("Answer 3.");

    expect(terminal.asked.map((body) => [...contents(body), body["chat_template_kwargs"]])).toEqual([
      ["One?", { enable_thinking: true }],
      ["One?", { enable_thinking: false }],
      ["Two?", { enable_thinking: false }],
    ]);
  });

  test("/save writes what was said, and nothing over another file", async () => {
    const path = join(temporaryFolder(), "talk.md");
    const terminal = start();

    terminal.type(`/save ${path}\r`);
    await terminal.sees("nothing to save yet");
    terminal.type("One?\r");
    await terminal.sees("Answer 1.");
    terminal.type(`/save ${path}\r`);
    await terminal.sees("Saved to");
    terminal.type(`/save ${path}\r`);
    await terminal.sees("file already exists");

    expect(readFileSync(path, "utf8")).toBe("## You\n\nOne?\n\n## fake\n\nAnswer 1.\n");
  });

  test("what is none is not sent, unless a blank stands before it", async () => {
    const terminal = start();

    for (const wrong of ["/ect/passwd is what?", "/constructor", "/think", "/image", "/save"]) {
      terminal.type(`${wrong}\r`);
      await terminal.sees(/^\/(ect|con)/.test(wrong) ? "Unknown command /" : wrong.startsWith("/think") ? "Use " : "Give ");
    }
    terminal.type("/retry\r");
    await terminal.sees("There is no question yet.");
    expect(terminal.asked).toEqual([]);

    terminal.type(" /etc is what?\r");
    await terminal.sees("Answer 1.");
    expect(contents(terminal.asked[0])).toEqual(["/etc is what?"]);
  });

  test("/help shows them all, and /quit leaves", async () => {
    const terminal = start();

    terminal.type("/help\r");
    for (const name of ["image", "file", "think", "retry", "clear", "save", "help", "quit"]) await terminal.sees(`/${name}`);
    terminal.type("/quit\r");

    await terminal.ended;
  });
});
