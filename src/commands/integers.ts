/**
 * Integers as Redis reads them from text: decimal, 64 bits with sign, nothing around them, no leading zero, no plus.
 * What fits a JavaScript number comes as one, the rest as a bigint.
 */
import { CairnError } from '../base/errors.js';

export const INT64_MAX = 2n ** 63n - 1n;
export const INT64_MIN = -(2n ** 63n);

/** So many digits are always a safe integer. */
const SAFE_DIGITS = 15;
const MINUS = 0x2d;
const ZERO = 0x30;

/** null: not an integer, or out of range. */
export function readInteger(text: Buffer): number | bigint | null {
  const { length } = text;
  if (length === 0 || length > 20) return null;
  const negative = text[0] === MINUS;
  const first = negative ? 1 : 0;
  if (text[first] === ZERO) return length === 1 ? 0 : null;
  if (first === length) return null;
  let value = 0;
  for (let at = first; at < length; at += 1) {
    const digit = (text[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  if (length - first <= SAFE_DIGITS) return negative ? -value : value;
  const exact = BigInt(text.toString('latin1'));
  return exact > INT64_MAX || exact < INT64_MIN ? null : exact;
}

/** The same, throwing what Redis answers. */
export function integer(text: Buffer): number | bigint {
  const value = readInteger(text);
  if (value === null) throw notAnInteger();
  return value;
}

export function notAnInteger(): CairnError {
  return new CairnError('ERR', 'value is not an integer or out of range');
}
