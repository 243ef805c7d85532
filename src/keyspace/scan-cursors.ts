/**
 * Where SCANs go on. Clients parse a cursor as an integer, but order is by key, so the integer stands for the last key
 * of a page. Only the recent ones are kept, by number and by bytes; an older one, or one from before a restart, is
 * unknown. A cursor stays good after its use: a client that lost the reply may ask again.
 */
import { randomInt } from 'node:crypto';

const MAX_CURSORS = 65_536;
const MAX_BYTES = 64 << 20;

export interface ScanPlace {
  database: number;
  after: Buffer;
}

export class ScanCursors {
  private readonly places = new Map<number, ScanPlace>();
  private bytes = 0;
  /** Random, so that a cursor from before a restart is unknown rather than another scan's. */
  private last = randomInt(1, 2 ** 40);

  constructor(
    private readonly maxCursors = MAX_CURSORS,
    private readonly maxBytes = MAX_BYTES,
  ) {}

  /** A new cursor, never 0. */
  add(database: number, after: Buffer): number {
    this.last += 1;
    // A copy: a slice would keep the whole block that it was read in.
    this.places.set(this.last, { database, after: Buffer.from(after) });
    this.bytes += after.length;
    for (const [cursor, place] of this.places) {
      if (this.places.size <= this.maxCursors && (this.bytes <= this.maxBytes || this.places.size === 1)) break;
      this.places.delete(cursor);
      this.bytes -= place.after.length;
    }
    return this.last;
  }

  find(cursor: number): ScanPlace | undefined {
    return this.places.get(cursor);
  }
}
