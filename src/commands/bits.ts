/** Strings as bits: SETBIT GETBIT BITCOUNT BITPOS BITOP. Bit 0 is the highest of the first byte. */
import { CairnError } from '../base/errors.js';
import type { DataCommand } from './command.js';
import { integer } from './integers.js';
import type { Session } from './session.js';
import { clampedRange } from './string-parts.js';
import { syntaxError, word } from './words.js';

const EMPTY = Buffer.alloc(0);

/** How many bits of a byte are set. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/** Offsets reach to the end of the longest string. */
function bitOffset(text: Buffer, { maxStringBytes }: Session): number {
  const offset = readOffset(text);
  if (offset === null || offset >= maxStringBytes * 8)
    throw new CairnError('ERR', 'bit offset is not an integer or out of range');
  return offset;
}

function readOffset(text: Buffer): number | null {
  if (!/^(?:0|[1-9]\d{0,10})$/.test(text.toString('latin1'))) return null;
  return Number(text.toString('latin1'));
}

const setbit: DataCommand = {
  name: 'setbit',
  kind: 'data',
  run(tx, args, session) {
    const { database } = session;
    const [key, offsetText, bitText] = args as [Buffer, Buffer, Buffer];
    const offset = bitOffset(offsetText, session);
    const bit = bitText.toString('latin1');
    if (bit !== '0' && bit !== '1') throw new CairnError('ERR', 'bit is not an integer or out of range');
    const old = tx.get(database, key);
    const index = Math.floor(offset / 8);
    const bytes = Buffer.alloc(Math.max(old?.bytes.length ?? 0, index + 1));
    if (old !== undefined) bytes.set(old.bytes, 0);
    const mask = 0x80 >>> (offset % 8);
    const before = ((bytes[index] as number) & mask) === 0 ? 0 : 1;
    bytes[index] = bit === '1' ? (bytes[index] as number) | mask : (bytes[index] as number) & ~mask;
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: old?.expiresAtMs ?? null });
    return before;
  },
};

const getbit: DataCommand = {
  name: 'getbit',
  kind: 'data',
  run(tx, args, session) {
    const offset = bitOffset(args[1] as Buffer, session);
    const bytes = tx.get(session.database, args[0] as Buffer)?.bytes ?? EMPTY;
    return ((bytes[Math.floor(offset / 8)] ?? 0) >>> (7 - (offset % 8))) & 1;
  },
};

/** true: the ends count bits. */
function unitOf(arg: Buffer | undefined): boolean {
  if (arg === undefined) return false;
  const unit = word(arg);
  if (unit !== 'BIT' && unit !== 'BYTE') throw syntaxError();
  return unit === 'BIT';
}

/** Bits of the string, inclusive; null: the range is empty. */
function bitRange(bytes: Buffer, start: number, end: number, inBits: boolean): { start: number; end: number } | null {
  const range = clampedRange(inBits ? bytes.length * 8 : bytes.length, start, end);
  if (range === null || inBits) return range;
  return { start: range.start * 8, end: range.end * 8 + 7 };
}

const bitcount: DataCommand = {
  name: 'bitcount',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, startText, endText, unit] = args as [Buffer, Buffer?, Buffer?, Buffer?];
    const value = tx.get(database, key);
    if (value === undefined) return 0;
    if (args.length === 2 || args.length > 4) throw syntaxError();
    const { bytes } = value;
    const start = startText === undefined ? 0 : Number(integer(startText));
    const end = endText === undefined ? -1 : Number(integer(endText));
    // Said before the unit is looked at, as in Redis.
    if (start < 0 && end < 0 && start > end) return 0;
    const range = bitRange(bytes, start, end, unitOf(unit));
    return range === null ? 0 : count(bytes, range.start, range.end);
  },
};

function count(bytes: Buffer, from: number, to: number): number {
  const [first, last] = [Math.floor(from / 8), Math.floor(to / 8)];
  let ones = 0;
  for (let at = first; at <= last; at += 1) ones += ONES[bytes[at] as number] as number;
  for (let bit = first * 8; bit < from; bit += 1) ones -= ((bytes[first] as number) >>> (7 - (bit % 8))) & 1;
  for (let bit = to + 1; bit < (last + 1) * 8; bit += 1) ones -= ((bytes[last] as number) >>> (7 - (bit % 8))) & 1;
  return ones;
}

const bitpos: DataCommand = {
  name: 'bitpos',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, bitText, startText, endText, unit] = args as [Buffer, Buffer, Buffer?, Buffer?, Buffer?];
    const bit = integer(bitText);
    if (bit !== 0 && bit !== 1) throw new CairnError('ERR', 'The bit argument must be 1 or 0.');
    const value = tx.get(database, key);
    if (value === undefined) return bit === 1 ? -1 : 0;
    if (args.length > 5) throw syntaxError();
    const start = startText === undefined ? 0 : Number(integer(startText));
    const inBits = unitOf(unit);
    const end = endText === undefined ? -1 : Number(integer(endText));
    const { bytes } = value;
    // Not as in BITCOUNT: -1 -5 of one byte is that byte.
    const range = bitRange(bytes, start, end, inBits);
    if (range === null) return -1;
    const found = firstBit(bytes, bit, range.start, range.end);
    if (found !== null) return found;
    // Without an end the string is thought to go on with zeros.
    return bit === 0 && endText === undefined ? bytes.length * 8 : -1;
  },
};

function firstBit(bytes: Buffer, bit: number, from: number, to: number): number | null {
  const skipped = bit === 1 ? 0x00 : 0xff;
  for (let at = from; at <= to; ) {
    const byte = bytes[Math.floor(at / 8)] as number;
    if (at % 8 === 0 && byte === skipped) {
      at += 8;
      continue;
    }
    if (((byte >>> (7 - (at % 8))) & 1) === bit) return at;
    at += 1;
  }
  return null;
}

/** a becomes a OP b, element by element; b is as long as a, or longer. One plain loop each: they go over up to 512 MB. */
const operations: Readonly<Record<string, (a: Uint8Array | Uint32Array, b: Uint8Array | Uint32Array) => void>> = {
  AND: (a, b) => {
    for (let at = 0; at < a.length; at += 1) a[at] = (a[at] as number) & (b[at] as number);
  },
  OR: (a, b) => {
    for (let at = 0; at < a.length; at += 1) a[at] = (a[at] as number) | (b[at] as number);
  },
  NOT: (a) => {
    for (let at = 0; at < a.length; at += 1) a[at] = ~(a[at] as number);
  },
  XOR: (a, b) => {
    for (let at = 0; at < a.length; at += 1) a[at] = (a[at] as number) ^ (b[at] as number);
  },
};

/** Words go four times as fast as bytes, where both begin at a multiple of four. */
function combine(name: string, into: Buffer, value: Buffer): void {
  const operation = operations[name] as (typeof operations)[string];
  const words = into.byteOffset % 4 === 0 && value.byteOffset % 4 === 0 ? Math.floor(value.length / 4) : 0;
  operation(wordsOf(into, words), wordsOf(value, words));
  operation(into.subarray(words * 4, value.length), value.subarray(words * 4));
  // What is missing of the shorter one is zeros.
  if (name === 'AND') into.fill(0, value.length);
}

function wordsOf({ buffer, byteOffset }: Buffer, count: number): Uint32Array {
  return count === 0 ? new Uint32Array() : new Uint32Array(buffer, byteOffset, count);
}

const bitop: DataCommand = {
  name: 'bitop',
  kind: 'data',
  run(tx, args, { database }) {
    const [nameText, target, ...sources] = args as [Buffer, Buffer, ...Buffer[]];
    const name = word(nameText);
    if (!Object.hasOwn(operations, name)) throw syntaxError();
    if (name === 'NOT' && sources.length !== 1) {
      throw new CairnError('ERR', 'BITOP NOT must be called with a single source key.');
    }
    const values = sources.map((key) => tx.get(database, key)?.bytes ?? EMPTY);
    const length = values.reduce((longest, value) => Math.max(longest, value.length), 0);
    if (length === 0) {
      tx.delete(database, target);
      return 0;
    }
    const result = Buffer.alloc(length);
    result.set(values[0] as Buffer);
    if (name === 'NOT') combine(name, result, result);
    else for (const value of values.slice(1)) combine(name, result, value);
    tx.put(database, target, { type: 'string', bytes: result, expiresAtMs: null });
    return length;
  },
};

export const bitCommands: readonly DataCommand[] = [setbit, getbit, bitcount, bitpos, bitop];
