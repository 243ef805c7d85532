/**
 * A main record's value in a native keyspace (docs/keyspace.md):
 *
 *   offset  bytes
 *   0       1      low nibble: type (0 string, 1 hash, 2 list, 3 set, 4 sorted set); 0x10: an expiry follows
 *   1       8      with 0x10: expiry, unix ms, big endian
 *   1 | 9   rest   string: its bytes
 */
import { CairnError } from '../base/errors.js';
import type { Value } from './transaction.js';
import { readU64, writeU64 } from './u64.js';

export const valueTypes = ['string', 'hash', 'list', 'set', 'zset'] as const;
export type ValueType = (typeof valueTypes)[number];

const HAS_EXPIRY = 0x10;
const STRING = 0;

export function encodeValue(value: Value): Buffer {
  const { bytes, expiresAtMs } = value;
  const header = expiresAtMs === null ? 1 : 9;
  const record = Buffer.allocUnsafe(header + bytes.length);
  if (expiresAtMs === null) {
    record[0] = STRING;
  } else {
    record[0] = STRING | HAS_EXPIRY;
    writeU64(record, 1, expiresAtMs);
  }
  bytes.copy(record, header);
  return record;
}

export function decodeValue(record: Buffer): Value {
  const first = record[0];
  if (first === STRING) return { type: 'string', bytes: record.subarray(1), expiresAtMs: null };
  if (first === (STRING | HAS_EXPIRY) && record.length >= 9) {
    return {
      type: 'string',
      bytes: record.subarray(9),
      expiresAtMs: readU64(record, 1),
    };
  }
  throw damaged(record);
}

/** Unix ms, null: none. */
export function expiryOf(record: Buffer): number | null {
  const first = record[0];
  if (first === undefined || (first & 0xe0) !== 0) throw damaged(record);
  if ((first & HAS_EXPIRY) === 0) return null;
  if (record.length < 9) throw damaged(record);
  return readU64(record, 1);
}

/** Whether a record, which begins at an offset of `bytes`, has an expiry; it is not judged otherwise. */
export function carriesExpiry(bytes: Buffer, at = 0): boolean {
  return ((bytes[at] ?? 0) & HAS_EXPIRY) !== 0;
}

export function typeOf(record: Buffer): ValueType {
  const type = valueTypes[(record[0] ?? 0xff) & 0x0f];
  if (type === undefined) throw damaged(record);
  return type;
}

function damaged(record: Buffer): CairnError {
  const head = record.subarray(0, 16).toString('hex');
  return new CairnError('ERR', `a stored value begins with bytes that this version does not know: ${head}`, {
    hint: 'It was written by a newer version, or the directory is not a native keyspace.',
  });
}
