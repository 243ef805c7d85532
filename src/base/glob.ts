/**
 * Redis's glob patterns on bytes: KEYS, SCAN MATCH, CONFIG GET, LIST LABEL.
 *
 *   *        any bytes, also none          [abc] [a-z] [^a]   one byte of a set; ranges either way round
 *   ?        one byte                      \x                 x itself, inside a set too
 *
 * As in Redis: an unclosed set reaches to the pattern's end, a lone backslash at the end stands for itself.
 * On a mismatch only the last star is tried again (an earlier one could only find what the last one finds too), so the
 * cost is at most pattern length × subject length: no pattern is exponential.
 */
const STAR = 0x2a;
const QUESTION = 0x3f;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const CARET = 0x5e;
const BACKSLASH = 0x5c;
const DASH = 0x2d;

export interface GlobOptions {
  /** ASCII letters match in either case. */
  ignoreCase?: boolean;
}

export function globMatch(pattern: Uint8Array, subject: Uint8Array, options: GlobOptions = {}): boolean {
  const fold = options.ignoreCase === true;
  let at = 0;
  let position = 0;
  let afterStar = -1;
  let starPosition = 0;
  while (position < subject.length) {
    if (pattern[at] === STAR) {
      at += 1;
      afterStar = at;
      starPosition = position;
      continue;
    }
    const next = at < pattern.length ? matchOne(pattern, at, subject[position] as number, fold) : -1;
    if (next >= 0) {
      at = next;
      position += 1;
    } else if (afterStar >= 0) {
      at = afterStar;
      starPosition += 1;
      position = starPosition;
    } else {
      return false;
    }
  }
  while (pattern[at] === STAR) at += 1;
  return at === pattern.length;
}

/** True when the pattern is a plain `*`. */
export function matchesEverything(pattern: Uint8Array): boolean {
  return pattern.length === 1 && pattern[0] === STAR;
}

/** The bytes that every match begins with: an iteration may be bounded by them. */
export function literalPrefix(pattern: Buffer): Buffer {
  let end = 0;
  while (end < pattern.length && !isSpecial(pattern[end] as number)) end += 1;
  return pattern.subarray(0, end);
}

function isSpecial(byte: number): boolean {
  return byte === STAR || byte === QUESTION || byte === OPEN || byte === BACKSLASH;
}

/** Where the pattern goes on when its element at `at` accepts the byte, else -1. */
function matchOne(pattern: Uint8Array, at: number, byte: number, fold: boolean): number {
  const element = pattern[at] as number;
  if (element === QUESTION) return at + 1;
  if (element === OPEN) return matchSet(pattern, at + 1, byte, fold);
  const literal = element === BACKSLASH && at + 1 < pattern.length ? at + 1 : at;
  return same(pattern[literal] as number, byte, fold) ? literal + 1 : -1;
}

function matchSet(pattern: Uint8Array, from: number, byte: number, fold: boolean): number {
  const negated = pattern[from] === CARET;
  let at = negated ? from + 1 : from;
  let found = false;
  while (at < pattern.length && pattern[at] !== CLOSE) {
    if (pattern[at] === BACKSLASH && at + 1 < pattern.length) {
      if (pattern[at + 1] === byte) found = true;
      at += 2;
    } else if (at + 2 < pattern.length && pattern[at + 1] === DASH) {
      if (within(pattern[at] as number, pattern[at + 2] as number, byte, fold)) found = true;
      at += 3;
    } else {
      if (same(pattern[at] as number, byte, fold)) found = true;
      at += 1;
    }
  }
  const end = Math.min(at + 1, pattern.length);
  return found !== negated ? end : -1;
}

/** Redis compares signed chars in ranges: bytes from 0x80 on order below 0. */
function within(first: number, last: number, byte: number, fold: boolean): boolean {
  const [a, b, c] = fold ? [lower(first), lower(last), lower(byte)] : [first, last, byte];
  const low = Math.min(signed(a), signed(b));
  const high = Math.max(signed(a), signed(b));
  return signed(c) >= low && signed(c) <= high;
}

function same(a: number, b: number, fold: boolean): boolean {
  return a === b || (fold && lower(a) === lower(b));
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

function signed(byte: number): number {
  return byte > 0x7f ? byte - 0x100 : byte;
}
