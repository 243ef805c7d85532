/** Memory and descriptors of a server while it is under load: after it has warmed up they stay what they are. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Report } from './report.js';
import { Violation } from './violation.js';

const EVERY_MS = 1000;
/** Fewer samples say nothing about a trend. */
const LEAST = 60;
/** A garbage-collected heap and a block cache breathe: a leak goes on beyond this. */
const MAX_GROWTH = 1.5;
const SLACK_BYTES = 64 << 20;
const SLACK_DESCRIPTORS = 50;
const MAX_BYTES = 1 << 30;

interface Sample {
  bytes: number;
  descriptors: number;
}

export class Flatness {
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(
    private readonly pid: number,
    private readonly report: Report,
  ) {
    this.#timer = setInterval(() => this.#take(), EVERY_MS);
    this.#timer.unref();
  }

  #take(): void {
    try {
      const sample = { bytes: memoryBytes(this.pid), descriptors: readdirSync(`/proc/${this.pid}/fd`).length };
      this.#samples.push(sample);
      this.report.most('rssBytes', sample.bytes);
      this.report.most('fileDescriptors', sample.descriptors);
    } catch {
      // It has ended, or ends in this moment.
    }
  }

  /** Compares the second quarter with the last one. */
  end(): void {
    clearInterval(this.#timer);
    const most = Math.max(0, ...this.#samples.map(({ bytes }) => bytes));
    if (most > MAX_BYTES) throw new Violation(`the server had ${most} bytes in memory`);
    if (this.#samples.length < LEAST) return;
    const quarter = Math.floor(this.#samples.length / 4);
    const [early, late] = [this.#samples.slice(quarter, 2 * quarter), this.#samples.slice(-quarter)];
    const compare = (what: keyof Sample, slack: number): void => {
      const [before, after] = [mean(early, what), mean(late, what)];
      this.report.flat(what, before, after);
      if (after <= before * MAX_GROWTH + slack) return;
      throw new Violation(`${what} of the server grew from ${before} to ${after} in ${this.#samples.length} s`);
    };
    compare('bytes', SLACK_BYTES);
    compare('descriptors', SLACK_DESCRIPTORS);
  }
}

function mean(samples: readonly Sample[], what: keyof Sample): number {
  return Math.round(samples.reduce((total, sample) => total + sample[what], 0) / samples.length);
}

function memoryBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}
