/** The surface of the keyspace that server and commands build against. */
import type { CairnError } from '../base/errors.js';
import type { ReadAhead } from './fetches.js';
import type { LivePort, Position } from './port.js';
import type { ScanCursors } from './scan-cursors.js';
import type { ScanPage, ScanRequest, Transaction } from './transaction.js';

/** What came of a transaction: its value, and the moment when everything it wrote or saw is durable as chosen. */
export interface Outcome<T> {
  value: T;
  /** null: nothing to wait for. Rejects with MISCONF when the write group failed. Shared by all commits of a group. */
  durable: Promise<void> | null;
}

export interface KeyRef {
  database: number;
  key: Buffer;
  /** A command asks for it because it will put it. */
  toBeWritten?: boolean;
}

export interface Keyspace extends LivePort {
  /** Where it was opened `paused`: data commands and background removals begin. Idempotent. */
  begin(): void;
  /** null while data commands are served, else what they answer (LOADING during a swap, MISCONF: did not open). */
  readonly unavailable: CairnError | null;
  /** Set by ADMIN.READONLY ON or by a storage error; writes answer it, reads go on. */
  readonly writesRefused: CairnError | null;
  /** Off after a storage error: checks that the storage takes writes again, else throws MISCONF and stays off. */
  setReadOnly(on: boolean): Promise<void>;
  /** While it is on no key is removed because its time has come; a read does not see it all the same. */
  holdExpiry(on: boolean): void;
  /** Lookups that counted, and keys removed because their time had come; CONFIG RESETSTAT sets them to zero. */
  readonly lookups: { hits: number; misses: number; expired: number };
  readonly position: Position;
  /** Changes when the database is exchanged: a MULTI that was begun before it must not run after it. */
  readonly generation: number;
  /**
   * Runs body against memory at once where every key it reads is there, else fetches `keys` (from the command's key
   * positions) off the event loop and runs it again. body must be pure but for the transaction. All that it wrote is one
   * commit; if it throws, nothing is written. Transactions are serial: no other runs between body's first and last line.
   * Throws (or rejects with) `unavailable` while it is set. `ahead`: of the client whose command it is; who gives it ends it.
   */
  execute<T>(body: (tx: Transaction) => T, keys?: () => KeyRef[], ahead?: ReadAhead): Outcome<T> | Promise<Outcome<T>>;
  /** Keys of the state at this moment, read off the event loop; resolves when what it saw is durable. */
  scan(request: ScanRequest): Promise<ScanPage>;
  /** Where SCANs that were begun go on. */
  readonly cursors: ScanCursors;
  /** Watches keys for EXEC; `touched` turns true when one changes, expires, or the database is exchanged. */
  watch(previous: Watch | null, keys: KeyRef[]): Watch;
  /** Writes out and syncs what is pending, then closes the database that is served. Idempotent. */
  close(): Promise<void>;
}

export interface Watch {
  readonly touched: boolean;
  /** About what it takes. */
  readonly heldBytes: number;
  release(): void;
}
