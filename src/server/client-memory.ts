/**
 * What clients make the server hold, added up: requests that are not complete or wait, transactions, watched keys, and
 * replies that nobody has read yet. Each connection says after each turn what it holds; when all together hold too
 * much, the one that holds most goes (`Pressure` says of what).
 *
 *   strangers   clients that are not authenticated: a budget of their own, however many there are
 *   objects     what lies on JavaScript's heap, which ends the process when it is full: many small arguments above all
 *   bytes       everything, by the setting maxmemory_clients
 *
 * Counted is what was taken, not what is free in a buffer of the system: a socket's own buffers are the kernel's.
 */
import { getHeapStatistics } from 'node:v8';

/** An argument of a few bytes: a view with its entry in two lists. */
export const ARGUMENT_OBJECT_BYTES = 192;
/** A reply that waits: its value and its place in two lists. */
export const REPLY_OBJECT_BYTES = 64;
/** What all clients together that are not authenticated may make the server hold. */
export const STRANGERS_BYTES = 64 * 1024 * 1024;

export type Pressure = 'strangers' | 'objects' | 'bytes';

/** What one connection holds, as it was counted last. */
export class Account {
  bytes = 0;
  /** Part of `bytes`. */
  objectBytes = 0;
  stranger = false;

  of(pressure: Pressure): number {
    if (pressure === 'strangers') return this.stranger ? this.bytes : 0;
    return pressure === 'objects' ? this.objectBytes : this.bytes;
  }
}

export class ClientMemory {
  private totalBytes = 0;
  private objectBytes = 0;
  private strangerBytes = 0;

  constructor(
    /** 0: none. */
    private readonly limitBytes: () => number,
    private readonly objectLimitBytes = Math.floor(getHeapStatistics().heap_size_limit / 4),
    private readonly strangerLimitBytes = STRANGERS_BYTES,
  ) {}

  get heldBytes(): number {
    return this.totalBytes;
  }

  set(account: Account, bytes: number, objectBytes: number, stranger: boolean): void {
    if (account.stranger) this.strangerBytes -= account.bytes;
    if (stranger) this.strangerBytes += bytes;
    this.totalBytes += bytes - account.bytes;
    this.objectBytes += objectBytes - account.objectBytes;
    account.bytes = bytes;
    account.objectBytes = objectBytes;
    account.stranger = stranger;
  }

  /** Of what there is too much. */
  get pressure(): Pressure | null {
    if (this.strangerBytes > this.strangerLimitBytes) return 'strangers';
    if (this.objectBytes > this.objectLimitBytes) return 'objects';
    const limit = this.limitBytes();
    return limit > 0 && this.totalBytes > limit ? 'bytes' : null;
  }

  /** The numbers behind a pressure, for the log. */
  numbers(pressure: Pressure): { heldBytes: number; limitBytes: number } {
    if (pressure === 'strangers') return { heldBytes: this.strangerBytes, limitBytes: this.strangerLimitBytes };
    if (pressure === 'objects') return { heldBytes: this.objectBytes, limitBytes: this.objectLimitBytes };
    return { heldBytes: this.totalBytes, limitBytes: this.limitBytes() };
  }
}
