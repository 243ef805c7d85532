/** Parts of strings: SETRANGE GETRANGE SUBSTR, and INCRBYFLOAT, which reads a string as a decimal number. */
import { CairnError } from '../base/errors.js';
import type { DataCommand } from './command.js';
import { integer } from './integers.js';
import { add, formatLongDouble, parseLongDouble, ZERO } from './long-double.js';
import { requireStringSize } from './strings.js';

const EMPTY = Buffer.alloc(0);

const setrange: DataCommand = {
  name: 'setrange',
  kind: 'data',
  run(tx, args, session) {
    const { database } = session;
    const [key, offsetText, bytes] = args as [Buffer, Buffer, Buffer];
    const offset = integer(offsetText);
    if (offset < 0) throw new CairnError('ERR', 'offset is out of range');
    const old = tx.get(database, key);
    if (bytes.length === 0) return old?.bytes.length ?? 0;
    const end = Number(offset) + bytes.length;
    requireStringSize(end, session);
    const next = Buffer.alloc(Math.max(end, old?.bytes.length ?? 0));
    if (old !== undefined) next.set(old.bytes, 0);
    next.set(bytes, Number(offset));
    tx.put(database, key, { type: 'string', bytes: next, expiresAtMs: old?.expiresAtMs ?? null });
    return next.length;
  },
};

const getrange = (name: string): DataCommand => ({
  name,
  kind: 'data',
  run(tx, args, { database }) {
    const [key, startText, endText] = args as [Buffer, Buffer, Buffer];
    const [start, end] = [Number(integer(startText)), Number(integer(endText))];
    const bytes = tx.get(database, key)?.bytes ?? EMPTY;
    const range = rangeWithin(bytes.length, start, end);
    return range === null ? '' : bytes.subarray(range.start, range.end + 1);
  },
});

/** Both ends inclusive, negative ones counted from the end; null: nothing lies between them. */
export function rangeWithin(length: number, start: number, end: number): { start: number; end: number } | null {
  return start < 0 && end < 0 && start > end ? null : clampedRange(length, start, end);
}

/** The same without that rule: both ends before the string are its first place. */
export function clampedRange(length: number, start: number, end: number): { start: number; end: number } | null {
  const from = Math.max(0, start < 0 ? length + start : start);
  const to = Math.min(length - 1, Math.max(0, end < 0 ? length + end : end));
  return from > to || length === 0 ? null : { start: from, end: to };
}

const incrbyfloat: DataCommand = {
  name: 'incrbyfloat',
  kind: 'data',
  run(tx, args, { database }) {
    const [key, amountText] = args as [Buffer, Buffer];
    const old = tx.get(database, key);
    const before = old === undefined ? ZERO : number(old.bytes);
    const amount = number(amountText);
    const sum = before === 'infinite' || amount === 'infinite' ? 'infinite' : add(before, amount);
    if (sum === 'infinite') throw new CairnError('ERR', 'increment would produce NaN or Infinity');
    const bytes = Buffer.from(formatLongDouble(sum));
    tx.put(database, key, { type: 'string', bytes, expiresAtMs: old?.expiresAtMs ?? null });
    return bytes;
  },
};

function number(text: Buffer): Exclude<ReturnType<typeof parseLongDouble>, null> {
  const value = parseLongDouble(text.toString('latin1'));
  if (value === null) throw new CairnError('ERR', 'value is not a valid float');
  return value;
}

export const stringPartCommands: readonly DataCommand[] = [
  setrange,
  getrange('getrange'),
  getrange('substr'),
  incrbyfloat,
];
