/** Seam, filled by the keyspace's author: what a data command may do. Keys and values are the user's bytes. */
export interface StringValue {
  type: 'string';
  bytes: Buffer;
  /** Unix ms, null: none. */
  expiresAtMs: number | null;
}
export type Value = StringValue;

export interface Transaction {
  /** Unix ms, the same for the whole transaction. */
  readonly nowMs: number;
  /** undefined: no such key (an expired one is gone: its removal joins this commit). */
  get(database: number, key: Buffer): Value | undefined;
  put(database: number, key: Buffer, value: Value): void;
  /** true: the key was there. */
  delete(database: number, key: Buffer): boolean;
  flush(database: number | 'all'): void;
  /** Exact, as Redis counts: expired keys that were not yet removed included. */
  keyCount(database: number): number;
}
