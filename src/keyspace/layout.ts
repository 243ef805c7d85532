/**
 * Where things are in the one column family. `Layout` is what the rest of the keyspace knows of it; the native layout
 * is here, the one of adopted directories in raw.ts.
 *
 *   00 'cairn.state'                      the reserved key: where this state stands (state-record.ts)
 *   00 'cairn.databases'                  which database is in which slot, after SWAPDB (database-map.ts)
 *   01 slot key                           main record
 *   02 slot expiry(u64 BE, ms) key        expiry index, empty value
 *   10+ slot u32 key version(u64) field   kept free for the elements of hashes, lists, sets and sorted sets
 *
 * A layout knows slots alone; what a client calls database n is in the slot that the DatabaseMap says.
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
  /** Where the map of the databases lives; null: there is one database. */
  readonly databasesKey: Buffer | null;
  /** The key of the main record. Throws where there is no such slot. */
  mainKey(slot: number, key: Buffer): Buffer;
  /** The two bytes of it that come before the user's key, big endian; NO_PREFIX: it is the user's key. Throws as `mainKey` does. */
  mainKeyPrefix(slot: number, key: Buffer): number;
  /** The slot of a main key as a latin1 string. */
  slotOf(id: string): number;
  /** The user's key in a main record's key. */
  userKey(mainKey: Buffer): Buffer;
  /** All main records of a slot whose user key begins with prefix. */
  range(slot: number, prefix: Buffer): { gte: Buffer; lt?: Buffer };
  encode(value: Value): Buffer;
  decode(record: Buffer): Value;
  expiryOf(record: Buffer): number | null;
  typeOf(record: Buffer): ValueType;
  /** null: expiry is not known here. */
  readonly expiryIndex: ExpiryIndex | null;
  /** What a flush of the slot deletes; `last` is the highest main key that there is. */
  flushRanges(slot: number, last: () => Buffer | null): [Buffer, Buffer][];
}

export interface ExpiryIndex {
  key(slot: number, expiresAtMs: number, key: Buffer): Buffer;
  /** Entries of a slot from a time on. */
  range(slot: number, fromMs: number): { gte: Buffer; lt: Buffer };
  parse(indexKey: Buffer): {
    slot: number;
    expiresAtMs: number;
    key: Buffer;
  };
}

export const DATABASES = 16;
export const STATE_KEY = Buffer.from('\x00cairn.state', 'latin1');
export const DATABASES_KEY = Buffer.from('\x00cairn.databases', 'latin1');
const MAX_KEY_BYTES = 256 << 20;
const MAIN = 0x01;
const EXPIRY = 0x02;

const none = Buffer.alloc(0);

const nativeExpiryIndex: ExpiryIndex = {
  key(slot, expiresAtMs, key) {
    const result = Buffer.allocUnsafe(10 + key.length);
    result[0] = EXPIRY;
    result[1] = slot;
    writeU64(result, 2, expiresAtMs);
    key.copy(result, 10);
    return result;
  },
  range(slot, fromMs) {
    return {
      gte: this.key(slot, fromMs, none),
      lt: Buffer.of(EXPIRY, slot + 1),
    };
  },
  parse(indexKey) {
    return {
      slot: indexKey[1] ?? 0,
      expiresAtMs: readU64(indexKey, 2),
      key: indexKey.subarray(10),
    };
  },
};

export const nativeLayout: Layout = {
  kind: 'native',
  databases: DATABASES,
  stateKey: STATE_KEY,
  databasesKey: DATABASES_KEY,
  mainKey(slot, key) {
    requireKeyLength(key);
    const result = Buffer.allocUnsafe(2 + key.length);
    result[0] = MAIN;
    result[1] = slot;
    key.copy(result, 2);
    return result;
  },
  mainKeyPrefix(slot, key) {
    requireKeyLength(key);
    return (MAIN << 8) | slot;
  },
  slotOf: (id) => id.charCodeAt(1),
  userKey: (mainKey) => mainKey.subarray(2),
  range(slot, prefix) {
    const gte = this.mainKey(slot, prefix);
    return { gte, lt: successor(gte) ?? Buffer.of(MAIN + 1) };
  },
  encode: encodeValue,
  decode: decodeValue,
  expiryOf,
  typeOf,
  expiryIndex: nativeExpiryIndex,
  flushRanges: (slot) => [
    [Buffer.of(MAIN, slot), Buffer.of(MAIN, slot + 1)],
    [Buffer.of(EXPIRY, slot), Buffer.of(EXPIRY, slot + 1)],
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
