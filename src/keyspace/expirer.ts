/**
 * The active expiry: walks the expiry index up to now, a bounded number of keys at a time, and removes them as commits.
 *
 * For each slot `dueFromMs` is at or before its earliest index entry: every write of an expiry lowers it, and a walk
 * raises it. So an idle database costs nothing, and a walk does not step over the remains of the walks before.
 */
import { decodeBlock } from '../engine/index.js';
import type { Database } from '../engine/types.js';
import type { ExpiryIndex } from './layout.js';

const KEYS_PER_STEP = 200;
const INTERVAL_MS = 100;

export interface Due {
  slot: number;
  key: Buffer;
  expiresAtMs: number;
}

export interface ExpirerHost {
  /** null: nothing may be removed now. */
  expirySource(): {
    database: Database;
    index: ExpiryIndex;
    slots: number;
    nowMs: number;
  } | null;
  /** Resolves when everything executed so far is in the database. */
  settled(): Promise<void>;
  /** Removes those that are still due, as one commit; resolves when it is written. */
  removeDue(due: Due[]): Promise<void>;
  expiryFailed(error: unknown): void;
}

export class Expirer {
  /** By slot. */
  private dueFromMs: number[] = [];
  private timer: NodeJS.Timeout | null = null;
  private running: Promise<void> | null = null;
  private stopped = false;

  constructor(private readonly host: ExpirerHost) {}

  start(): void {
    this.stopped = false;
    this.schedule(INTERVAL_MS);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.running;
  }

  /** Another database: nothing is known of its index. */
  reset(): void {
    this.dueFromMs = [];
  }

  noteExpiry(slot: number, expiresAtMs: number): void {
    const known = this.dueFromMs[slot];
    if (known !== undefined && expiresAtMs < known) this.dueFromMs[slot] = expiresAtMs;
  }

  private schedule(delayMs: number): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.run();
    }, delayMs);
    this.timer.unref();
  }

  private async run(): Promise<void> {
    let more = false;
    try {
      more = await this.step();
    } catch (error) {
      this.host.expiryFailed(error);
    }
    this.schedule(more ? 1 : INTERVAL_MS);
  }

  /** true: there is more to remove at once. */
  private async step(): Promise<boolean> {
    const source = this.host.expirySource();
    if (source === null) return false;
    let more = false;
    for (let slot = 0; slot < source.slots; slot += 1) {
      if ((this.dueFromMs[slot] ?? 0) > source.nowMs) continue;
      if (await this.walk(source, slot)) more = true;
      if (this.stopped) return false;
    }
    return more;
  }

  private async walk(source: NonNullable<ReturnType<ExpirerHost['expirySource']>>, slot: number): Promise<boolean> {
    const fromMs = this.dueFromMs[slot] ?? 0;
    // Entries that are written from here on are noted; those from before are in the database once it settled.
    this.dueFromMs[slot] = Number.POSITIVE_INFINITY;
    let nextMs = fromMs;
    try {
      await this.host.settled();
      const due = await this.read(source, slot, fromMs);
      const expired = due.filter(({ expiresAtMs }) => expiresAtMs < source.nowMs);
      if (expired.length > 0) await this.host.removeDue(expired);
      nextMs = this.earliestAfter(due, expired.length);
      return due.length > 0 && expired.length === due.length;
    } finally {
      this.noteExpiry(slot, nextMs);
    }
  }

  /** The first index entries, due or not. */
  private async read(source: { database: Database; index: ExpiryIndex }, slot: number, fromMs: number): Promise<Due[]> {
    const entries: Due[] = [];
    const range = source.index.range(slot, fromMs);
    const blocks = source.database.iterate({
      ...range,
      values: false,
      blockEntries: KEYS_PER_STEP,
      bypassCache: false,
    });
    try {
      const block = await blocks.next();
      if (block !== null) for (const { key } of decodeBlock(block)) entries.push(source.index.parse(key));
    } finally {
      await blocks.close();
    }
    return entries;
  }

  private earliestAfter(due: Due[], removed: number): number {
    const next = due[removed];
    if (next !== undefined) return next.expiresAtMs;
    // All that was read is removed: what follows is at or after the last of it, or nothing does.
    return due.length === 0 ? Number.POSITIVE_INFINITY : (due[due.length - 1] as Due).expiresAtMs;
  }
}
