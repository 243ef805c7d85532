/**
 * The commit clock: the wall clock, made strictly increasing. Commits are ordered and recovered by its time, so it
 * never steps back, also when the wall clock does and also over a restart (what is stored raises it first).
 */
import type { WallClock } from '../base/clock.js';

export class CommitClock {
  private last = 0;

  constructor(
    private readonly wall: WallClock,
    floorUs: number,
  ) {
    this.last = floorUs;
  }

  /** A new moment, after every one given out before. */
  next(): number {
    const now = this.wall.nowUs();
    this.last = now > this.last ? now : this.last + 1;
    return this.last;
  }

  /** The present moment; the next one may be equal to it plus one. */
  now(): number {
    return Math.max(this.last, this.wall.nowUs());
  }

  raise(us: number): void {
    if (us > this.last) this.last = us;
  }

  /** Unix ms of the wall clock, which decides what has expired: after a step back a TTL still lasts as long as it says. */
  wallMs(): number {
    return Math.trunc(this.wall.nowUs() / 1000);
  }
}
