// Shows a load under way: a bar on a terminal, else a line twice a minute.

import { SingleBar } from "cli-progress";
import type { LoadProgress } from "../loadgen/run-load.ts";
import { TransferRate } from "../pull/transfer-rate.ts";

const measureEveryMs = 500;
const lineEveryMs = 30_000;

type Stream = NodeJS.WriteStream & { isTTY: boolean };

export class BenchProgress {
  readonly #progress: Readonly<LoadProgress>;
  readonly #total: number;
  readonly #rate = new TransferRate();
  readonly #timers: NodeJS.Timeout[];
  readonly #bar: SingleBar | undefined;

  constructor(progress: Readonly<LoadProgress>, total: number, stream: Stream = process.stderr) {
    this.#progress = progress;
    this.#total = total;
    this.#timers = [setInterval(() => this.#measure(), measureEveryMs)];
    if (stream.isTTY) {
      this.#bar = new SingleBar({
        format: "  {bar} {text}",
        barsize: 24,
        hideCursor: true,
        gracefulExit: false,
        clearOnComplete: true,
        stream,
      });
      this.#bar.start(total, 0, { text: this.#summary() });
    } else this.#timers.push(setInterval(() => stream.write(`  ${this.#summary()}\n`), lineEveryMs));
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#bar?.stop();
  }

  #measure(): void {
    this.#rate.add(this.#progress.chunks, performance.now());
    this.#bar?.update(this.#progress.done, { text: this.#summary() });
  }

  #summary(): string {
    const { done, running, failed } = this.#progress;
    const rate = this.#rate.bytesPerSecond; // of chunks, which are tokens with most servers
    return `${done} of ${this.#total} done, ${running} running, ${failed} failed${rate === undefined ? "" : `, ${rate.toFixed(0)} tokens/s`}`;
  }
}
