/**
 * Where things are in the one column family. `Layout` is what the rest of the keyspace knows of it; the native layout
 * is here, the one of adopted directories in raw.ts.
 *
 *   00 'cairn.state'                      the reserved key: where this state stands (state-record.ts)
 *   01 db key                             main record
 *   02 db expiry(u64 BE, ms) key          expiry index, empty value
 *   10+ db u32 key version(u64) field     kept free for the elements of hashes, lists, sets and sorted sets
 */
import { CairnError } from '../base/errors.js';
import type { Value } from './transaction.js';
import { readU64, writeU64 } from './u64.js';
import { decodeValue, encodeValue, expiryOf, typeOf, type ValueType } from './value.js';

export interface Layout {
  readonly kind: 'native' | 'raw';
  /** Logical databases. */
  readonly databases: number;
  /** Where the state record lives; null: not in the database. */
  readonly stateKey: Buffer | null;
  /** The key of the main record. Throws where there is no such database. */
  mainKey(database: number, key: Buffer): Buffer;
  /** The database of a main key as a latin1 string. */
  databaseOf(id: string): number;
  /** The user's key in a main record's key. */
  userKey(mainKey: Buffer): Buffer;
  /** All main records of a database whose user key begins with prefix. */
  range(database: number, prefix: Buffer): { gte: Buffer; lt?: Buffer };
  encode(value: Value): Buffer;
  decode(record: Buffer): Value;
  expiryOf(record: Buffer): number | null;
  typeOf(record: Buffer): ValueType;
  /** null: expiry is not known here. */
  readonly expiryIndex: ExpiryIndex | null;
  /** What a flush of the database deletes; `last` is the highest main key that there is. */
  flushRanges(database: number, last: () => Buffer | null): [Buffer, Buffer][];
}

export interface ExpiryIndex {
  key(database: number, expiresAtMs: number, key: Buffer): Buffer;
  /** Entries of a database from a time on. */
  range(database: number, fromMs: number): { gte: Buffer; lt: Buffer };
  parse(indexKey: Buffer): {
    database: number;
    expiresAtMs: number;
    key: Buffer;
  };
}

export const DATABASES = 16;
export const STATE_KEY = Buffer.from('\x00cairn.state', 'latin1');
const MAX_KEY_BYTES = 256 << 20;
const MAIN = 0x01;
const EXPIRY = 0x02;

const none = Buffer.alloc(0);

const nativeExpiryIndex: ExpiryIndex = {
  key(database, expiresAtMs, key) {
    const result = Buffer.allocUnsafe(10 + key.length);
    result[0] = EXPIRY;
    result[1] = database;
    writeU64(result, 2, expiresAtMs);
    key.copy(result, 10);
    return result;
  },
  range(database, fromMs) {
    return {
      gte: this.key(database, fromMs, none),
      lt: Buffer.of(EXPIRY, database + 1),
    };
  },
  parse(indexKey) {
    return {
      database: indexKey[1] ?? 0,
      expiresAtMs: readU64(indexKey, 2),
      key: indexKey.subarray(10),
    };
  },
};

export const nativeLayout: Layout = {
  kind: 'native',
  databases: DATABASES,
  stateKey: STATE_KEY,
  mainKey(database, key) {
    requireKeyLength(key);
    const result = Buffer.allocUnsafe(2 + key.length);
    result[0] = MAIN;
    result[1] = database;
    key.copy(result, 2);
    return result;
  },
  databaseOf: (id) => id.charCodeAt(1),
  userKey: (mainKey) => mainKey.subarray(2),
  range(database, prefix) {
    const gte = this.mainKey(database, prefix);
    return { gte, lt: successor(gte) ?? Buffer.of(MAIN + 1) };
  },
  encode: encodeValue,
  decode: decodeValue,
  expiryOf,
  typeOf,
  expiryIndex: nativeExpiryIndex,
  flushRanges: (database) => [
    [Buffer.of(MAIN, database), Buffer.of(MAIN, database + 1)],
    [Buffer.of(EXPIRY, database), Buffer.of(EXPIRY, database + 1)],
  ],
};

/** Keys are also strings in memory, and those have a limit. */
export function requireKeyLength(key: Buffer): void {
  if (key.length <= MAX_KEY_BYTES) return;
  throw new CairnError('ERR', `a key of ${key.length} bytes is longer than the ${MAX_KEY_BYTES} that are allowed`);
}

/** The first key after all that begin with prefix; null: there is none. */
export function successor(prefix: Buffer): Buffer | null {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end -= 1;
  if (end === 0) return null;
  const result = Buffer.from(prefix.subarray(0, end));
  result[end - 1] = (result[end - 1] as number) + 1;
  return result;
}
