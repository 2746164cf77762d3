// Shows a conversion: a bar on a terminal, else a line twice a minute; both with rate and time left.

import { SingleBar } from "cli-progress";
import { TransferRate } from "../pull/transfer-rate.ts";
import { formatBytes } from "./options.ts";
import { formatDuration } from "./pull-progress.ts";

const lineEveryMs = 30_000;
const measureEveryMs = 500;

type Stream = NodeJS.WriteStream & { isTTY: boolean };

export class ConvertProgress {
  readonly #say: (line: string) => void;
  readonly #stream: Stream;
  readonly #rate = new TransferRate();
  readonly #timers: NodeJS.Timeout[] = [];
  #bar: SingleBar | undefined;
  #doneBytes = 0;
  #totalBytes = 0;

  constructor(say: (line: string) => void, stream: Stream = process.stderr) {
    this.#say = say;
    this.#stream = stream;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** The first call begins the display; what is done by then, an earlier conversion did. */
  readonly update = (doneBytes: number, totalBytes: number): void => {
    this.#doneBytes = doneBytes;
    if (this.#totalBytes === 0) this.#start(totalBytes);
  };

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#totalBytes > 0) this.#measure();
    this.#bar?.stop();
  }

  #start(totalBytes: number): void {
    this.#totalBytes = totalBytes;
    if (this.#doneBytes > 0) this.#say(`  going on where an earlier conversion stopped: ${formatBytes(this.#doneBytes)} are done`);
    this.#measure();
    this.#timers.push(setInterval(() => this.#measure(), measureEveryMs));
    if (!this.#stream.isTTY) {
      this.#timers.push(setInterval(() => this.#say(`  ${this.#summary()}`), lineEveryMs));
      return;
    }
    const format = "  {bar} {percentage}%  {text}";
    this.#bar = new SingleBar({ format, barsize: 30, hideCursor: true, gracefulExit: false, stream: this.#stream });
    this.#bar.start(totalBytes, this.#doneBytes, { text: this.#summary() });
  }

  #measure(): void {
    this.#rate.add(this.#doneBytes, performance.now());
    this.#bar?.update(this.#doneBytes, { text: this.#summary() });
  }

  #summary(): string {
    const amount = `${formatBytes(this.#doneBytes)} of ${formatBytes(this.#totalBytes)}`;
    if (this.#doneBytes >= this.#totalBytes) return `${amount}, computing checksums`;
    const rate = this.#rate.bytesPerSecond;
    if (!rate) return amount;
    return `${amount}, ${formatBytes(Math.round(rate))}/s, ${formatDuration((this.#totalBytes - this.#doneBytes) / rate)} left`;
  }
}
