import { expect, onTestFinished, test, vi } from "vitest";
import { RequestProgress } from "../../src/cli/request-progress.ts";

/** The lines that a terminal shows, of what moves its cursor as the bar does. */
function screenOf(sent: string): string[] {
  const lines: string[] = [""];
  let [row, column, savedRow] = [0, 0, 0];
  // eslint-disable-next-line no-control-regex
  for (const [token] of sent.matchAll(/\u001b[78]|\u001b\[\??\d*[A-Za-z]|[^]/g)) {
    if (token === "\n") lines[++row] ??= "";
    if (token === "\n" || token === "\r" || token === "\u001b[1G") column = 0;
    else if (token === "\u001b7") savedRow = row;
    else if (token === "\u001b8") row = savedRow;
    else if (token === "\u001b[K" || token === "\u001b[0K") lines[row] = lines[row]!.slice(0, column);
    else if (token === "\u001b[2K") lines[row] = "";
    else if (!token.startsWith("\u001b")) lines[row] = lines[row]!.slice(0, column) + token + lines[row]!.slice(++column);
  }
  return lines;
}

test("a note stays above the bar, and nothing of the bar is left behind it", () => {
  const { isTTY } = process.stderr;
  process.stderr.isTTY = true;
  let sent = "";
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    sent += String(text);
    return true;
  });
  onTestFinished(() => {
    write.mockRestore();
    process.stderr.isTTY = isTTY;
  });

  const progress = new RequestProgress({ done: 1, running: 2, failed: 0, tokens: 3 }, 10);
  expect(screenOf(sent)[0]).toContain("1 of 10 done, 2 running, 0 failed");
  progress.note("stopping");
  progress.stop();

  expect(screenOf(`${sent}end\n`)).toEqual(["stopping", "end", ""]);
});
