/** Seam, filled by the keyspace's author: the surface that server and commands build against. */
import type { CairnError } from '../base/errors.js';
import type { LivePort, Position } from './port.js';
import type { Transaction } from './transaction.js';

/** What came of a transaction: its value, and the moment when everything it wrote or saw is durable as chosen. */
export interface Outcome<T> {
  value: T;
  /** null: nothing to wait for. Rejects with MISCONF when the write group failed. Shared by all commits of a group. */
  durable: Promise<void> | null;
}

export interface KeyRef {
  database: number;
  key: Buffer;
}

export interface Keyspace extends LivePort {
  /** null while data commands are served, else what they answer (LOADING during a swap, MISCONF: did not open). */
  readonly unavailable: CairnError | null;
  /** Set by ADMIN.READONLY ON or by a storage error; writes answer it, reads go on. */
  readonly writesRefused: CairnError | null;
  setReadOnly(on: boolean): Promise<void>;
  readonly position: Position;
  /**
   * Runs body against memory at once where every key it reads is there, else fetches `keys` (from the command's key
   * positions) off the event loop and runs it again. body must be pure but for the transaction. All that it wrote is one
   * commit; if it throws, nothing is written. Transactions are serial: no other runs between body's first and last line.
   */
  execute<T>(body: (tx: Transaction) => T, keys?: () => KeyRef[]): Outcome<T> | Promise<Outcome<T>>;
  /** Watches keys for EXEC; `touched` turns true when one changes, expires, or the database is exchanged. */
  watch(previous: Watch | null, keys: KeyRef[]): Watch;
  close(): Promise<void>;
}

export interface Watch {
  touched: boolean;
  release(): void;
}
