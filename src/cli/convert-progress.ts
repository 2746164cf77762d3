// Shows a conversion or a calibration: a bar on a terminal, else a line twice a minute; both with rate and time left.

import { SingleBar } from "cli-progress";
import { formatBytes } from "../core/format-bytes.ts";
import { TransferRate } from "../pull/transfer-rate.ts";
import { formatDuration } from "./pull-progress.ts";

const lineEveryMs = 30_000;
const measureEveryMs = 500;

type Stream = NodeJS.WriteStream & { isTTY: boolean };

/** What is counted, in words. */
export type ProgressUnit = {
  readonly amount: (done: number, total: number) => string;
  readonly rate: (perSecond: number) => string;
  /** What goes on when all is done. */
  readonly ending: string;
};

const bytes: ProgressUnit = {
  amount: (done, total) => `${formatBytes(done)} of ${formatBytes(total)}`,
  rate: (perSecond) => `${formatBytes(Math.round(perSecond))}/s`,
  ending: "computing checksums",
};

export class ConvertProgress {
  readonly #say: (line: string) => void;
  readonly #unit: ProgressUnit;
  readonly #stream: Stream;
  readonly #rate = new TransferRate();
  readonly #timers: NodeJS.Timeout[] = [];
  #bar: SingleBar | undefined;
  #done = 0;
  #total = 0;

  constructor(say: (line: string) => void, unit: ProgressUnit = bytes, stream: Stream = process.stderr) {
    this.#say = say;
    this.#unit = unit;
    this.#stream = stream;
  }

  get total(): number {
    return this.#total;
  }

  /** The first call begins the display; what is done by then, an earlier conversion did. */
  readonly update = (done: number, total: number): void => {
    this.#done = done;
    if (this.#total === 0) this.#start(total);
  };

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#total > 0) this.#measure();
    this.#bar?.stop();
  }

  #start(total: number): void {
    this.#total = total;
    if (this.#done > 0) this.#say(`  going on where an earlier conversion stopped: ${this.#unit.amount(this.#done, total)} are done`);
    this.#measure();
    this.#timers.push(setInterval(() => this.#measure(), measureEveryMs));
    if (!this.#stream.isTTY) {
      this.#timers.push(setInterval(() => this.#say(`  ${this.#summary()}`), lineEveryMs));
      return;
    }
    const format = "  {bar} {percentage}%  {text}";
    this.#bar = new SingleBar({ format, barsize: 30, hideCursor: true, gracefulExit: false, stream: this.#stream });
    this.#bar.start(total, this.#done, { text: this.#summary() });
  }

  #measure(): void {
    this.#rate.add(this.#done, performance.now());
    this.#bar?.update(this.#done, { text: this.#summary() });
  }

  #summary(): string {
    const amount = this.#unit.amount(this.#done, this.#total);
    if (this.#done >= this.#total) return `${amount}, ${this.#unit.ending}`;
    const rate = this.#rate.bytesPerSecond;
    if (!rate) return amount;
    return `${amount}, ${this.#unit.rate(rate)}, ${formatDuration((this.#total - this.#done) / rate)} left`;
  }
}
