/**
 * Durations and sizes as people write them. Both decide what may be deleted, so nothing is guessed: a number without
 * its unit, a sign, a fraction, a blank or an unknown unit is refused, never read as something near it.
 *
 *   500ms 45s 30m 12h 90d      a duration, in milliseconds inside; a bare 0 is "no limit", any other number needs a unit
 *   64kb 100mb 2gb 1tb 4096    a size in powers of two, in bytes inside; bare means bytes
 *
 * print* gives the largest unit that is exact, so parse(print(x)) = x for every x that parse can give.
 */
const durationUnits = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
const sizeUnits = { tb: 2 ** 40, gb: 2 ** 30, mb: 2 ** 20, kb: 2 ** 10, b: 1 } as const;

/** A hundred years: far from every overflow, also when the duration is counted in microseconds. */
export const longestDurationMs = 36_500 * durationUnits.d;
export const largestSize = Number.MAX_SAFE_INTEGER;

export const durationForm = 'a duration such as 500ms, 45s, 30m, 12h or 90d (0: no limit)';
export const sizeForm = 'a size such as 4096 (bytes), 64kb, 100mb or 2gb';

/** Why a text is not a value; the caller says whose value it was. */
export class NotAValue extends Error {
  override readonly name = 'NotAValue';
}

/** Milliseconds. Throws NotAValue. */
export function parseDuration(text: string): number {
  if (text === '0') return 0;
  const match = /^(0|[1-9]\d{0,15})(ms|s|m|h|d)$/.exec(text);
  if (match === null) {
    const bare = /^\d+$/.test(text);
    throw new NotAValue(bare ? 'argument must have a unit: ms, s, m, h or d' : `argument must be ${durationForm}`);
  }
  const value = Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
  if (value > longestDurationMs) throw new NotAValue('argument must not exceed 36500d');
  return value;
}

export function printDuration(ms: number): string {
  if (ms === 0) return '0';
  // A day is printed as 24h: what is said in hours reads better in hours, until it is several days.
  if (ms % durationUnits.d === 0 && ms > durationUnits.d) return `${ms / durationUnits.d}d`;
  return print(ms, { h: durationUnits.h, m: durationUnits.m, s: durationUnits.s, ms: 1 });
}

/** Bytes. Units in either case, as in Redis. Throws NotAValue. */
export function parseSize(text: string): number {
  const match = /^(0|[1-9]\d{0,15})(b|kb|mb|gb|tb)?$/i.exec(text);
  if (match === null) {
    // To Redis 1k is 1000 and 1kb is 1024: who writes k must say which.
    const decimal = /^\d+[kmgt]$/i.test(text);
    throw new NotAValue(
      decimal ? `argument must be in bytes, or in powers of two such as ${text}b` : `argument must be ${sizeForm}`,
    );
  }
  const value = Number(match[1]) * sizeUnits[(match[2]?.toLowerCase() ?? 'b') as keyof typeof sizeUnits];
  if (value > largestSize) throw new NotAValue(`argument must not exceed ${largestSize} bytes`);
  return value;
}

export function printSize(bytes: number): string {
  const { b: _, ...units } = sizeUnits;
  return bytes === 0 ? '0' : print(bytes, units);
}

function print(value: number, units: Record<string, number>): string {
  for (const [unit, factor] of Object.entries(units)) if (value % factor === 0) return `${value / factor}${unit}`;
  return String(value);
}
