/**
 * Log lines that strangers can cause: one of a kind each ten seconds, the next one says how many were left out. Who
 * attacks a server must not be able to fill its disk with the news of it.
 */
import type { Fields, Log } from '../observability/log.js';

const EVERY_MS = 10_000;

export class RepeatedEvents {
  private readonly last = new Map<string, { atMs: number; leftOut: number }>();

  constructor(
    private readonly log: Log,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** `event` is one of a few constant texts. */
  warn(event: string, fields: Fields): void {
    const now = this.nowMs();
    const before = this.last.get(event);
    if (before !== undefined && now - before.atMs < EVERY_MS) {
      before.leftOut++;
      return;
    }
    this.log.warn(
      event,
      before === undefined || before.leftOut === 0 ? fields : { ...fields, alsoSince: before.leftOut },
    );
    this.last.set(event, { atMs: now, leftOut: 0 });
  }
}
