/**
 * BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any place in a string, read, written and added to. All of a call's
 * operations see what the ones before them did; the string is written once.
 */
import { CairnError } from '../base/errors.js';
import type { Transaction } from '../keyspace/transaction.js';
import type { Reply } from '../resp/reply.js';
import type { DataCommand } from './command.js';
import { INT64_MAX, integer } from './integers.js';
import type { Session } from './session.js';
import { syntaxError, word } from './words.js';

type Overflow = 'WRAP' | 'SAT' | 'FAIL';

interface Field {
  signed: boolean;
  bits: number;
  offset: number;
}

interface Operation {
  kind: 'GET' | 'SET' | 'INCRBY';
  field: Field;
  amount: bigint;
  overflow: Overflow;
}

const EMPTY = Buffer.alloc(0);
const READ_ONLY = 'BITFIELD_RO only supports the GET subcommand';

const bitfield: DataCommand = {
  name: 'bitfield',
  kind: 'data',
  run: (tx, args, session) => run(tx, args, session.database, parse(args.slice(1), session, false)),
};

const bitfieldRo: DataCommand = {
  name: 'bitfield_ro',
  kind: 'data',
  run: (tx, args, session) => run(tx, args, session.database, parse(args.slice(1), session, true)),
};

function run(tx: Transaction, args: readonly Buffer[], database: number, operations: readonly Operation[]): Reply {
  const key = args[0] as Buffer;
  const old = tx.get(database, key);
  const writing = operations.filter(({ kind }) => kind !== 'GET');
  const needed = writing.reduce(
    (most, { field }) => Math.max(most, Math.floor((field.offset + field.bits - 1) / 8) + 1),
    0,
  );
  let bytes = old?.bytes ?? EMPTY;
  if (writing.length > 0) {
    const grown = Buffer.alloc(Math.max(bytes.length, needed));
    grown.set(bytes, 0);
    bytes = grown;
  }
  let changed = false;
  const replies = operations.map(({ kind, field, amount, overflow }): Reply => {
    const before = read(bytes, field);
    if (kind === 'GET') return before;
    const after = kind === 'SET' ? fittedSet(amount, field, overflow) : fitted(before + amount, field, overflow);
    if (after === null) return null;
    write(bytes, field, after);
    changed = true;
    return kind === 'SET' ? before : after;
  });
  // Also a write that failed by overflow has made the string as long as its place needs.
  if (changed || (writing.length > 0 && bytes.length > (old?.bytes.length ?? 0))) {
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: old?.expiresAtMs ?? null });
  }
  return replies;
}

function parse(words: readonly Buffer[], { maxStringBytes }: Session, readOnly: boolean): Operation[] {
  const operations: Operation[] = [];
  let overflow: Overflow = 'WRAP';
  for (let at = 0; at < words.length; ) {
    const kind = word(words[at] as Buffer);
    const left = words.length - at - 1;
    if (kind === 'OVERFLOW' && left >= 1) {
      overflow = overflowOf(words[at + 1] as Buffer);
      at += 2;
      continue;
    }
    const needs = kind === 'GET' ? 2 : kind === 'SET' || kind === 'INCRBY' ? 3 : null;
    if (needs === null || left < needs) throw syntaxError();
    const { signed, bits } = typeOf(words[at + 1] as Buffer);
    const offset = offsetOf(words[at + 2] as Buffer, bits, maxStringBytes * 8);
    const amount = kind === 'GET' ? 0n : BigInt(integer(words[at + 3] as Buffer));
    operations.push({ kind: kind as Operation['kind'], field: { signed, bits, offset }, amount, overflow });
    at += needs + 1;
  }
  if (readOnly && operations.some(({ kind }) => kind !== 'GET')) throw new CairnError('ERR', READ_ONLY);
  return operations;
}

function overflowOf(text: Buffer): Overflow {
  const overflow = word(text);
  if (overflow === 'WRAP' || overflow === 'SAT' || overflow === 'FAIL') return overflow;
  throw new CairnError('ERR', 'Invalid OVERFLOW type specified');
}

function typeOf(text: Buffer): { signed: boolean; bits: number } {
  const match = /^([iu])([1-9]\d?)$/.exec(text.toString('latin1', 0, 8));
  const bits = Number(match?.[2]);
  const signed = match?.[1] === 'i';
  if (match === null || text.length > 3 || bits > (signed ? 64 : 63)) {
    throw new CairnError(
      'ERR',
      'Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.',
    );
  }
  return { signed, bits };
}

/** `#n` is the n-th field of its width. */
function offsetOf(text: Buffer, bits: number, maxBits: number): number {
  const digits = text.toString('latin1', 0, 24);
  const times = digits.startsWith('#');
  const number = times ? digits.slice(1) : digits;
  const offset = /^(?:0|[1-9]\d{0,11})$/.test(number) ? Number(number) * (times ? bits : 1) : Number.NaN;
  if (!(offset + bits <= maxBits)) throw new CairnError('ERR', 'bit offset is not an integer or out of range');
  return offset;
}

function read(bytes: Buffer, { signed, bits, offset }: Field): bigint {
  let value = 0n;
  for (let bit = offset; bit < offset + bits; bit += 1) {
    value = (value << 1n) | BigInt(((bytes[Math.floor(bit / 8)] ?? 0) >>> (7 - (bit % 8))) & 1);
  }
  return signed ? BigInt.asIntN(bits, value) : value;
}

function write(bytes: Buffer, { bits, offset }: Field, value: bigint): void {
  const raw = BigInt.asUintN(bits, value);
  for (let i = 0; i < bits; i += 1) {
    const at = offset + i;
    const index = Math.floor(at / 8);
    const mask = 0x80 >>> (at % 8);
    const isSet = ((raw >> BigInt(bits - 1 - i)) & 1n) === 1n;
    bytes[index] = isSet ? (bytes[index] as number) | mask : (bytes[index] as number) & ~mask;
  }
}

/**
 * Redis reads what SET is given for an unsigned field as an unsigned number, and its test of a signed one overflows for
 * numbers near the lowest: what is below the field then saturates to the highest value.
 */
function fittedSet(value: bigint, field: Field, overflow: Overflow): bigint | null {
  const { signed, bits } = field;
  const max = 2n ** BigInt(bits - (signed ? 1 : 0)) - 1n;
  const wraps = signed ? bits < 64 && max - value > INT64_MAX : value < 0n;
  return overflow === 'SAT' && wraps ? max : fitted(value, field, overflow);
}

/** null: it does not fit, and FAIL was chosen. */
function fitted(value: bigint, { signed, bits }: Field, overflow: Overflow): bigint | null {
  const max = signed ? 2n ** BigInt(bits - 1) - 1n : 2n ** BigInt(bits) - 1n;
  const min = signed ? -(2n ** BigInt(bits - 1)) : 0n;
  if (value >= min && value <= max) return value;
  if (overflow === 'FAIL') return null;
  if (overflow === 'SAT') return value > max ? max : min;
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

export const bitfieldCommands: readonly DataCommand[] = [bitfield, bitfieldRo];
