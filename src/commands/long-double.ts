/**
 * Arithmetic as INCRBYFLOAT has it in Redis on x86: the 80-bit extended format, whose mantissa has 64 bits, printed with
 * 17 decimals and without the zeros at their end. With JavaScript's own numbers 0.1 plus 0.2 would answer
 * 0.30000000000000004. A number is mantissa · 2^exponent, exact, and rounded half to even after each step.
 */
const MANTISSA_BITS = 64;
const DECIMALS = 17n;
/** The largest finite extended number has this many bits before its point. */
const MAX_BITS = 16_384;
/** Redis takes no longer text, so nothing longer is worth reading. */
const MAX_TEXT = 256;

export interface LongDouble {
  mantissa: bigint;
  exponent: number;
}

const decimalForm = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,6}))?$/i;
const hexForm = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?\d{1,6}))?$/i;

/** null: not a number, or one that the format cannot hold; 'infinite': written so. */
export function parseLongDouble(text: string): LongDouble | 'infinite' | null {
  if (text.length > MAX_TEXT) return null;
  if (/^[+-]?inf(?:inity)?$/i.test(text)) return 'infinite';
  const hex = hexForm.exec(text);
  if (hex !== null) {
    const [, sign, whole = '', part = '', power = '0'] = hex;
    if (whole + part === '') return null;
    return held(rounded(signed(sign, BigInt(`0x${whole}${part}`)), Number(power) - 4 * part.length));
  }
  const match = decimalForm.exec(text);
  if (match === null) return null;
  const [, sign, whole = '', part = '', power = '0'] = match;
  if (whole + part === '') return null;
  const scale = Number(power) - part.length;
  // Far outside of what the format has, before an enormous power of ten is made.
  if (scale + whole.length + part.length > 5000) return BigInt(whole + part) === 0n ? ZERO : null;
  if (scale < -10_000) return BigInt(whole + part) === 0n ? ZERO : null;
  return held(fromDecimal(signed(sign, BigInt(whole + part)), scale));
}

export function add(a: LongDouble, b: LongDouble): LongDouble | 'infinite' {
  const exponent = Math.min(a.exponent, b.exponent);
  const align = ({ mantissa, exponent: own }: LongDouble): bigint => mantissa << BigInt(own - exponent);
  return finite(rounded(align(a) + align(b), exponent));
}

/** 17 decimals, then without zeros at the end. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): string {
  const scale = 10n ** DECIMALS;
  const units =
    exponent >= 0 ? (mantissa << BigInt(exponent)) * scale : divideHalfEven(mantissa * scale, 1n << BigInt(-exponent));
  const digits = abs(units)
    .toString()
    .padStart(Number(DECIMALS) + 1, '0');
  const whole = digits.slice(0, -Number(DECIMALS));
  const part = digits.slice(-Number(DECIMALS)).replace(/0+$/, '');
  const text = part === '' ? whole : `${whole}.${part}`;
  return units < 0n ? `-${text}` : text;
}

export const ZERO: LongDouble = { mantissa: 0n, exponent: 0 };

function fromDecimal(digits: bigint, scale: number): LongDouble {
  if (scale >= 0) return rounded(digits * 10n ** BigInt(scale), 0);
  const divisor = 10n ** BigInt(-scale);
  // Enough bits that the quotient has more than the mantissa can hold; what is cut off is kept as a sticky bit.
  const shift = Math.max(0, bitLength(divisor) - bitLength(digits) + MANTISSA_BITS + 2);
  const shifted = abs(digits) << BigInt(shift);
  const quotient = ((shifted / divisor) << 1n) | (shifted % divisor === 0n ? 0n : 1n);
  return rounded(digits < 0n ? -quotient : quotient, -shift - 1);
}

function rounded(mantissa: bigint, exponent: number): LongDouble {
  const surplus = bitLength(mantissa) - MANTISSA_BITS;
  if (surplus <= 0) return { mantissa, exponent };
  return { mantissa: divideHalfEven(mantissa, 1n << BigInt(surplus)), exponent: exponent + surplus };
}

function held(value: LongDouble): LongDouble | null {
  const result = finite(value);
  return result === 'infinite' ? null : result;
}

function finite(value: LongDouble): LongDouble | 'infinite' {
  return bitLength(value.mantissa) + value.exponent > MAX_BITS ? 'infinite' : value;
}

function divideHalfEven(value: bigint, divisor: bigint): bigint {
  const magnitude = abs(value);
  const quotient = magnitude / divisor;
  const twice = (magnitude % divisor) * 2n;
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  const result = up ? quotient + 1n : quotient;
  return value < 0n ? -result : result;
}

function signed(sign: string | undefined, value: bigint): bigint {
  return sign === '-' ? -value : value;
}

function bitLength(value: bigint): number {
  return value === 0n ? 0 : abs(value).toString(2).length;
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
