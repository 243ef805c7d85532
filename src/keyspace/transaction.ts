/** What a data command may do. Keys and values are the user's bytes; nothing handed in or out is changed afterwards. */
import type { ValueType } from './value.js';

export interface StringValue {
  type: 'string';
  bytes: Buffer;
  /** Unix ms, null: none. */
  expiresAtMs: number | null;
}
export type Value = StringValue;

export interface ScanRequest {
  database: number;
  /** Only keys after this one; null: from the first. */
  after: Buffer | null;
  /** Only keys that begin with these bytes. */
  prefix: Buffer;
  /** How many keys are looked at, at most. */
  limit: number;
  accept(key: Buffer, type: ValueType): boolean;
}

export interface ScanPage {
  /** In byte order. */
  keys: Buffer[];
  /** The last key that was looked at when there may be more; null at the end. */
  next: Buffer | null;
}

export interface Transaction {
  /** Unix ms, the same for the whole transaction. */
  readonly nowMs: number;
  /** Whether `get` counts for INFO's keyspace_hits and keyspace_misses; off at the beginning. */
  counting: boolean;
  /** undefined: no such key (an expired one is gone: its removal joins this commit). */
  get(database: number, key: Buffer): Value | undefined;
  /** Bytes of the records that stand for the key in the database, before compression; undefined: no such key. */
  storedBytes(database: number, key: Buffer): number | undefined;
  put(database: number, key: Buffer, value: Value): void;
  /** true: the key was there. */
  delete(database: number, key: Buffer): boolean;
  flush(database: number | 'all'): void;
  /** Each has the keys of the other from here on. No key moves. */
  swap(first: number, second: number): void;
  /** Exact, as Redis counts: expired keys that were not yet removed included. */
  keyCount(database: number): number;
  /** How many of those have an expiry; exact. */
  expiryCount(database: number): number;
  /** Reads on the calling thread, from disk too: for EXEC; elsewhere `Keyspace.scan`. */
  scan(request: ScanRequest): ScanPage;
}
