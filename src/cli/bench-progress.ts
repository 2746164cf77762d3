// Shows a load under way: a bar on a terminal, else a line twice a minute.

import { SingleBar } from "cli-progress";
import type { LoadProgress } from "../loadgen/run-load.ts";
import { RecentRate, startTimers } from "./progress.ts";

export class BenchProgress {
  readonly #progress: Readonly<LoadProgress>;
  readonly #total: number;
  readonly #rate = new RecentRate();
  readonly #stopTimers: () => void;
  readonly #bar: SingleBar | undefined;

  constructor(progress: Readonly<LoadProgress>, total: number) {
    this.#progress = progress;
    this.#total = total;
    const { isTTY } = process.stderr;
    this.#stopTimers = startTimers(() => this.#measure(), isTTY ? undefined : () => process.stderr.write(`  ${this.#summary()}\n`));
    if (!isTTY) return;
    this.#bar = new SingleBar({ format: "  {bar} {text}", barsize: 24, hideCursor: true, gracefulExit: false, clearOnComplete: true });
    this.#bar.start(total, 0, { text: this.#summary() });
  }

  stop(): void {
    this.#stopTimers();
    this.#bar?.stop();
  }

  #measure(): void {
    this.#rate.add(this.#progress.chunks, performance.now());
    this.#bar?.update(this.#progress.done, { text: this.#summary() });
  }

  #summary(): string {
    const { done, running, failed } = this.#progress;
    const rate = this.#rate.perSecond; // of chunks, which are tokens with most servers
    return `${done} of ${this.#total} done, ${running} running, ${failed} failed${rate === undefined ? "" : `, ${rate.toFixed(0)} tokens/s`}`;
  }
}
